// Configuration files.
#include <cstdio>
#include <cstdlib>
#include <set>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "fuzz_target.hpp"

namespace deeppcr::fuzz {

std::vector<std::string> seeds() {
  return {"\xef\xbb\xbf[solve]\r\nsteps = 64\r\nwidth=4 # four\r\n; a comment\r\nverify = true\r\n",
          "batch = 8\n\n[train]\ndata = a;b #c\noptimiser=adam\n[solve]\nsteps = 1e6\n"};
}

std::vector<std::string> words() {
  return {"[solve]",
          "[",
          "]",
          "steps",
          " = ",
          "=",
          "#",
          " #",
          ";",
          "\n",
          "\r\n",
          "\r",
          "\xef\xbb\xbf",
          "\xff\xfe",
          std::string(1, '\0'),
          "=="};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    std::set<std::string> keys;
    int line = 0;
    for (const cli::ConfigEntry& entry : cli::parse_config_text("run.ini", text)) {
      DEEPPCR_FUZZ_CHECK(!entry.key.empty());
      DEEPPCR_FUZZ_CHECK(entry.line > line);
      DEEPPCR_FUZZ_CHECK(text.find(entry.key) != std::string::npos);
      DEEPPCR_FUZZ_CHECK(text.find(entry.value) != std::string::npos);
      DEEPPCR_FUZZ_CHECK(keys.insert(entry.section + "\n" + entry.key).second);
      line = entry.line;
    }
  } catch (const Error&) {
  }
  return 0;
}
