#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// One parser under test: libFuzzer's entry, and where its inputs start from. Each target is a
/// source file that defines all three.

/// Gives the bytes to the parser. Anything but an Error, and any wrong answer, ends the program.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace deeppcr::fuzz {

/// Inputs that are right.
std::vector<std::string> seeds();
/// Pieces that belong into such inputs.
std::vector<std::string> words();

/// Ends the program with the place where a promise was not kept.
#define DEEPPCR_FUZZ_CHECK(condition)                                              \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

}  // namespace deeppcr::fuzz
