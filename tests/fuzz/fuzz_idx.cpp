// IDX files, as MNIST's are.
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/batch.hpp"
#include "scratch_file.hpp"

namespace deeppcr::fuzz {

namespace {

std::string header(int axes, const std::vector<unsigned>& sizes) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(axes)};
  for (const unsigned size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(size >> shift));
  return bytes;
}

}  // namespace

std::vector<std::string> seeds() {
  return {header(3, {3, 2, 2}) + "abcdefghijkl", header(1, {4}) + "\x01\x02\x03\x04",
          header(3, {0, 28, 28}), header(1, {0})};
}

std::vector<std::string> words() {
  return {header(3, {}),        header(1, {}),          std::string("\x1f\x8b\x08\0", 4),
          std::string(4, '\0'), std::string(4, '\xff'), std::string("\0\0\x08\x0e", 4)};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  const fuzz::ScratchFile file(data, size);
  for (const int axes : {1, 3}) {
    try {
      const io::IdxFile read = io::read_idx(file.path(), axes);
      DEEPPCR_FUZZ_CHECK(static_cast<int>(read.sizes.size()) == axes);
      Index elements = 1;
      for (const Index extent : read.sizes) elements *= extent;
      DEEPPCR_FUZZ_CHECK(static_cast<Index>(read.elements.size()) == elements);
    } catch (const Error&) {
    }
  }
  return 0;
}
