#include "io/recognise.hpp"

#include <algorithm>
#include <fstream>
#include <string_view>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"
#include "io/known_content.hpp"

namespace deeppcr::io {

namespace {

using std::string_view_literals::operator""sv;

constexpr std::size_t kHeadBytes = 256;
constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n"sv;
constexpr std::string_view kArchiveSignature = "PK\x03\x04"sv;
/// In the deeppcr.json of a TorchScript file, which is near its beginning.
constexpr std::string_view kModuleMark = R"("written_by":"deeppcr")"sv;
constexpr std::size_t kModuleBytes = std::size_t{1} << 16;
constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n"sv;

bool has_at(std::string_view bytes, std::size_t at, std::string_view wanted) {
  return bytes.size() >= at && bytes.substr(at, wanted.size()) == wanted;
}

/// What the weights that this program writes do not have, such as samples; empty where nothing is.
std::string added_member(const hdf5::File& file) {
  const std::vector<std::string> known = sample_file_members();
  for (const std::string& name : file.children("/"))
    if (!holds(known, name) || holds(kSampleMembers, name)) return "/" + name;
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

Recognised recognise_archive(std::ifstream& file) {
  std::string begin(kModuleBytes, ' ');
  file.clear();
  file.seekg(0);
  file.read(begin.data(), kModuleBytes);
  if (begin.find(kModuleMark) != std::string::npos)
    return {file_format::kModule, "a trained module of ours", false};
  return {"", "an archive or a module that this program has not written", false};
}

}  // namespace

bool has_picture_mark(std::string_view bytes) {
  return has_at(bytes, 0, kPngSignature) && has_at(bytes, kPictureMarkAt, kPictureMark);
}

Recognised recognise(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return {"", "a file that cannot be read", false};
  std::string head(kHeadBytes, ' ');
  file.read(head.data(), kHeadBytes);
  head.resize(static_cast<std::size_t>(file.gcount()));
  if (head.empty()) return {file_format::kEmpty, "an empty file", false};
  // Room that was reserved for a file: its beginning is written last, and never by a killed run.
  if (head.find_first_not_of('\0') >= std::min(head.size(), kHdf5Signature.size()))
    return {"", "a file that begins with zeros", true};
  if (has_at(head, 0, kHdf5Signature)) return recognise_hdf5(path);
  if (has_picture_mark(head)) return {file_format::kPicture, "a picture of ours", false};
  if (has_at(head, 0, kPngSignature)) return {"", "a PNG picture of another program", false};
  if (has_at(head, 0, kArchiveSignature)) return recognise_archive(file);
  if (has_at(head, 0, "# deeppcr")) return {file_format::kCsv, "a table of ours", false};
  return {"", "no file of this program", false};
}

}  // namespace deeppcr::io
