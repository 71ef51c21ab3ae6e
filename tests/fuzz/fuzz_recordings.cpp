// Recordings and tables: a file of any bytes that is no HDF5.
#include <cmath>

#include "alone.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/signals.hpp"
#include "scratch_file.hpp"

namespace deeppcr::fuzz {

namespace {

/// 4 samples of PCM, 16 bits, `channels` channels.
std::string wav(char channels) {
  std::string bytes("RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\1\0", 22);
  bytes += std::string{channels, 0} + std::string("\x40\x1f\0\0\x80\x3e\0\0", 8);
  bytes += std::string{static_cast<char>(2 * channels), 0} + std::string("\x10\0data\x8\0\0\0", 10);
  return bytes + "abcdefgh";
}

}  // namespace

std::vector<std::string> seeds() {
  return {wav(1), wav(2), "a,b\n1,2\n3e-5,-4\n", "\"x, y\"\r\n0.5\r\n\r\n"};
}

std::vector<std::string> words() {
  return {"RIFF", "RF64", "WAVE",  "fmt ", "data", "LIST", ",",  "\n", "\r\n",
          "\"",   "nan",  "1e999", "-0",   ".5",   "\xff", "\t", " ",  std::string(4, '\0')};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  const fuzz::ScratchFile file(data, size);
  for (const Index frame : {1, 3}) {
    try {
      const io::Signals signals = io::read_signals(fuzz::self(), file.path(), {frame});
      DEEPPCR_FUZZ_CHECK(signals.samples == 1 && signals.steps > 0);
      DEEPPCR_FUZZ_CHECK(signals.inputs.size() == signals.steps * signals.features);
      for (const Real value : signals.inputs) DEEPPCR_FUZZ_CHECK(std::isfinite(value));
    } catch (const Error& error) {
      if (error.code() != ExitCode::bad_input) std::fprintf(stderr, "%s\n", error.what());
      DEEPPCR_FUZZ_CHECK(error.code() == ExitCode::bad_input);
    }
  }
  return 0;
}
