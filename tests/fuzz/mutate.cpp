// Runs a target on inputs changed at random, the same ones each time: for compilers without
// libFuzzer, and for the test suite.
//
//   fuzz_NAME RUNS [SEED]   so many inputs
//   fuzz_NAME FILE..        the inputs in these files
//   fuzz_NAME --seeds DIR   writes the inputs that all others start from
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "fuzz_target.hpp"

namespace deeppcr::fuzz {
namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) {
  return bound == 0 ? 0 : static_cast<std::size_t>(random() % bound);
}

/// One change: a bit, a byte, a piece left out, doubled, put in, or swapped for that of another.
void change(Random& random, const std::vector<std::string>& all, std::string& input) {
  constexpr std::size_t kMostBytes = 4096;
  const std::size_t at = below(random, input.size() + 1);
  const std::size_t length = below(random, std::min<std::size_t>(16, input.size() - at) + 1);
  const std::vector<std::string> known = words();
  switch (random() % 7) {
    case 0:
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << random() % 8));
      break;
    case 1:
      if (at < input.size()) input[at] = static_cast<char>(random());
      break;
    case 2:
      input.erase(at, length);
      break;
    case 3:
      input.insert(at, input.substr(at, length));
      break;
    case 4:
      if (!known.empty()) input.insert(at, known[below(random, known.size())]);
      break;
    case 5:
      if (!known.empty()) {
        const std::string& word = known[below(random, known.size())];
        input.replace(at, std::min(word.size(), input.size() - at), word);
      }
      break;
    default: {
      const std::string& other = all[below(random, all.size())];
      input = input.substr(0, at) + other.substr(below(random, other.size() + 1));
    }
  }
  if (input.size() > kMostBytes) input.resize(kMostBytes);
}

void give(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

void run(std::size_t runs, Random random) {
  const std::vector<std::string> all = seeds();
  for (const std::string& seed : all) give(seed);
  for (std::size_t i = 0; i < runs; ++i) {
    std::string input = all[below(random, all.size())];
    for (std::size_t changes = 1 + below(random, 8); changes > 0; --changes)
      change(random, all, input);
    give(input);
  }
  std::printf("%zu inputs\n", runs + all.size());
}

void write_seeds(const std::string& folder) {
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const std::string& seed : seeds())
    std::ofstream(folder + "/seed" + std::to_string(number++), std::ios::binary) << seed;
}

bool is_number(const char* word) { return std::strspn(word, "0123456789") == std::strlen(word); }

}  // namespace
}  // namespace deeppcr::fuzz

int main(int argc, char** argv) {
  using namespace deeppcr::fuzz;
  if (argc == 3 && std::strcmp(argv[1], "--seeds") == 0) {
    write_seeds(argv[2]);
  } else if (argc > 1 && is_number(argv[1])) {
    run(std::strtoull(argv[1], nullptr, 10),
        Random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1));
  } else {
    for (int i = 1; i < argc; ++i) {
      std::ifstream file(argv[i], std::ios::binary);
      give({std::istreambuf_iterator<char>(file), {}});
    }
  }
  return 0;
}
