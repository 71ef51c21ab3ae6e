// The mark by which pictures of this program are known.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "fuzz_target.hpp"
#include "io/recognise.hpp"

namespace deeppcr::fuzz {

namespace {

const std::string kSignature = "\x89PNG\r\n\x1a\n";
const std::string kMark("Software\0deeppcr ", 17);

std::string chunk(const std::string& type, const std::string& data) {
  const std::size_t n = data.size();
  return std::string{'\0', '\0', static_cast<char>(n >> 8), static_cast<char>(n)} + type + data +
         "crc!";
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string head = kSignature + chunk("IHDR", std::string(13, '\1'));
  return {head + chunk("tEXt", kMark + "0.1.0") + chunk("IDAT", "xyz") + chunk("IEND", ""),
          head + chunk("gAMA", "1234") + chunk("tEXt", "Title") + chunk("IDAT", "xyz")};
}

std::vector<std::string> words() {
  return {kSignature, kMark, "IDAT", "tEXt", "IHDR", std::string(4, '\0'), std::string(4, '\xff')};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  // A copy that is no longer than the input, so that reading behind it is seen.
  const std::vector<char> bytes(data, data + size);
  const bool marked = io::has_picture_mark({bytes.data(), bytes.size()});
  const bool there = std::search(bytes.begin(), bytes.end(), fuzz::kMark.begin(),
                                 fuzz::kMark.end()) != bytes.end();
  DEEPPCR_FUZZ_CHECK(there || !marked);
  return 0;
}
