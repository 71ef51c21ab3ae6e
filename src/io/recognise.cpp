#include "deeppcr/io/recognise.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"

namespace deeppcr::io {

namespace {

constexpr std::size_t kHeadBytes = 1 << 16;
constexpr unsigned char kPngSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr unsigned char kHdf5Signature[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

std::vector<unsigned char> head_of(std::ifstream& file) {
  std::vector<unsigned char> bytes(kHeadBytes);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

template <std::size_t N>
bool begins_with(const std::vector<unsigned char>& bytes, const unsigned char (&signature)[N]) {
  return bytes.size() >= N && std::equal(signature, signature + N, bytes.begin());
}

bool begins_with(const unsigned char* bytes, std::size_t count, const char* text) {
  const std::size_t length = std::strlen(text);
  return count >= length && std::memcmp(bytes, text, length) == 0;
}

std::size_t big_endian(const unsigned char* bytes) {
  return std::size_t{bytes[0]} << 24 | std::size_t{bytes[1]} << 16 | std::size_t{bytes[2]} << 8 |
         std::size_t{bytes[3]};
}

/// What the weights that this program writes do not have, such as samples; empty where nothing is.
std::string added_member(const hdf5::File& file) {
  for (const std::string& name : file.children("/"))
    if (name != "layers" && name != "embedding" && name != "head") return "/" + name;
  return "";
}

Recognised recognise_hdf5(const std::string& path) {
  try {
    const auto file = hdf5::File::open(path, hdf5::File::Access::read);
    const std::string format = format_of(file);
    const std::string added = format == file_format::kWeights ? added_member(file) : "";
    if (!added.empty()) return {"", "weights of ours to which somebody has added " + added, false};
    if (format.rfind("deeppcr-", 0) == 0) return {format, "a file of format " + format, false};
    const std::string is = format.empty() ? "an HDF5 file without a 'format' attribute"
                                          : fmt::format("an HDF5 file of format '{}'", format);
    return {"", is, false};
  } catch (const Error& error) {
    return {"", error.what(), true};
  }
}

}  // namespace

bool has_picture_mark(const unsigned char* bytes, std::size_t count) {
  // Signature; then chunks: length, type, data, checksum. Texts stand before the pixels (IDAT).
  constexpr std::size_t kAround = 12;
  constexpr char kMark[] = "Software\0deeppcr ";
  std::size_t at = sizeof(kPngSignature);
  if (count < at || !std::equal(kPngSignature, kPngSignature + at, bytes)) return false;
  while (count - at >= kAround) {
    const std::size_t length = big_endian(bytes + at);
    const unsigned char* type = bytes + at + 4;
    if (length > count - at - kAround || std::memcmp(type, "IDAT", 4) == 0) return false;
    constexpr std::size_t kMarkLength = sizeof(kMark) - 1;
    if (std::memcmp(type, "tEXt", 4) == 0 && length >= kMarkLength &&
        std::memcmp(type + 4, kMark, kMarkLength) == 0)
      return true;
    at += length + kAround;
  }
  return false;
}

Recognised recognise(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return {"", "a file that cannot be read", false};
  const std::vector<unsigned char> head = head_of(file);
  if (head.empty()) return {file_format::kEmpty, "an empty file", false};
  // Room that was reserved for a file: its beginning is written last, and never by a killed run.
  const bool blank =
      std::all_of(head.begin(), head.begin() + std::min(head.size(), sizeof(kHdf5Signature)),
                  [](unsigned char b) { return b == 0; });
  if (blank) return {"", "a file that begins with zeros", true};
  if (begins_with(head, kHdf5Signature)) return recognise_hdf5(path);
  if (begins_with(head, kPngSignature)) {
    if (has_picture_mark(head.data(), head.size()))
      return {file_format::kPicture, "a picture of ours", false};
    return {"", "a PNG picture of another program", false};
  }
  if (begins_with(head.data(), head.size(), "# deeppcr"))
    return {file_format::kCsv, "a table of ours", false};
  return {"", "no file of this program", false};
}

}  // namespace deeppcr::io
