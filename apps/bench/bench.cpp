#include "bench.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "chains.hpp"
#include "columns.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/provenance.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "gemm.hpp"
#include "harness.hpp"
#include "output.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

using cli::Context;
using cli::print_out;
using Options = OptionValues;

constexpr Index kMostSteps = 1'000'000'000;
constexpr Index kMostWidth = 4096;
constexpr Index kMostBatch = 1'000'000;
constexpr int kLeastRepeats = 5;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream stream(list);
  std::string word;
  while (std::getline(stream, word, ',')) words.push_back(word);
  return words;
}

/// The whole numbers of a list such as "1024,4096"; none for "".
std::vector<Index> numbers(const Options& options, const std::string& name, Index highest) {
  std::vector<Index> values;
  for (const std::string& word : split(options.word(name))) {
    char* end = nullptr;
    const double value = std::strtod(word.c_str(), &end);
    const bool whole = !word.empty() && *end == '\0' && value == std::floor(value);
    if (!whole || value < 1 || value > static_cast<double>(highest)) {
      throw input_error(
          "--{} {}: a list of whole numbers from 1 to {} is needed, such as --{} 8,16", name, word,
          highest, name);
    }
    values.push_back(static_cast<Index>(value));
  }
  return values;
}

std::vector<std::string> precisions(const Options& options) {
  const std::vector<std::string> words = split(options.text("precision"));
  for (const std::string& word : words) {
    if (word != "single" && word != "double")
      throw input_error("--precision {}: allowed: single, double, or both with a comma", word);
  }
  return words;
}

std::vector<std::string> methods(const Options& options) {
  const std::vector<std::string> words = split(options.text("methods"));
  for (const std::string& word : words) check_known("methods", word, sampling_methods());
  return words;
}

Settings read_settings(const Options& options) {
  Settings settings;
  settings.quick = options.flag("quick");
  settings.repeats = settings.quick ? 1 : static_cast<int>(options.whole("repeats"));
  settings.steps = numbers(options, "steps", kMostSteps);
  settings.width = numbers(options, "width", kMostWidth);
  settings.batch = numbers(options, "batch", kMostBatch);
  settings.precisions = precisions(options);
  settings.methods = methods(options);
  settings.most_seconds = options.real("most-seconds");
  settings.chains = split(options.word("chains"));
  chosen_chains(settings.chains);  // refuses unknown names before anything runs
  const auto largest = [](const std::vector<Index>& of) {
    return of.empty() ? Index{1} : *std::max_element(of.begin(), of.end());
  };
  sequence::check_index_size(largest(settings.steps), largest(settings.batch),
                             static_cast<int>(largest(settings.width)));
  return settings;
}

std::vector<Suite> read_suites(const Options& options) {
  const std::string list = options.word("suite");
  if (list == "all") return suites();
  std::vector<std::string> known;
  for (const Suite& suite : suites()) known.emplace_back(suite.name);
  std::vector<Suite> chosen;
  for (const std::string& word : split(list)) {
    const auto found = std::find(known.begin(), known.end(), word);
    if (found == known.end()) {
      throw input_error("--suite {}: unknown; allowed: all, {}; {}", word, fmt::join(known, ", "),
                        did_you_mean(word, known));
    }
    chosen.push_back(suites()[static_cast<std::size_t>(found - known.begin())]);
  }
  return chosen;
}

/// What the numbers depend on, as lines.
std::vector<std::string> circumstances(const cli::Context& context) {
  std::array<double, 3> load{};
  const bool known = getloadavg(load.data(), 3) == 3;
  return {fmt::format("deeppcr {} ({}), {}", io::program_version(), io::git_commit(),
                      context.command_line),
          fmt::format("{} ranks on {}; load average {}", context.comm.size(),
                      parallel::host_names(context.comm).front(),
                      known ? fmt::format("{:.2f} {:.2f}", load[0], load[1]) : "unknown"),
          fmt::format("PETSc {}, {}", parallel::petsc_version(), parallel::mpi_version()),
          fmt::format("BLAS: {}", blocks::blas_library()),
          fmt::format("small products: {}", gemm_library())};
}

void print_summary(const Harness& harness) {
  for (const std::string& note : harness.notes()) print_out(note + "\n");
  Index met = 0, all = 0;
  for (const Row& row : harness.rows()) {
    all += row.target.empty() ? 0 : 1;
    met += !row.target.empty() && row.met == "yes" ? 1 : 0;
  }
  print_out(fmt::format("targets met: {} of {}\n", met, all));
}

void print_json(const Harness& harness, const std::vector<std::string>& about) {
  nlohmann::ordered_json json{{"command", "bench"}, {"about", about}};
  json["rows"] = nlohmann::ordered_json::array();
  for (const Row& row : harness.rows()) {
    nlohmann::ordered_json entry;
    for (const Column& column : columns())
      std::visit([&](const auto& value) { entry[column.name] = value; }, column.cell(row));
    json["rows"].push_back(entry);
  }
  print_out(json.dump() + "\n");
}

/// Why the rows could not be written; empty where they are.
std::string write_csv(const std::string& path, const Harness& harness,
                      const std::vector<std::string>& about) {
  // Rows that are there already survive whatever ends this.
  const std::string target = link_target(path), written = target + ".tmp";
  errno = 0;
  std::ofstream file(written);
  file << to_csv(harness.rows(), about);
  file.close();
  const int cause = errno;
  std::error_code failed;
  if (file) std::filesystem::rename(written, target, failed);
  if (file) return failed ? failed.message() : "";
  std::filesystem::remove(written, failed);
  return std::strerror(cause != 0 ? cause : EIO);
}

void run_suites(const std::vector<Suite>& chosen, Harness& harness, bool speaks) {
  for (const Suite& suite : chosen) {
    if (speaks) print_out(fmt::format("\n{}: {}\n", suite.name, suite.help));
    std::fflush(stdout);
    harness.run(suite);
  }
}

}  // namespace

void add_options(cli::Options& options) {
  std::string help = "comma-separated list";
  for (const Suite& suite : suites()) help += fmt::format("\n{}: {}", suite.name, suite.help);
  const auto list = [](const char* name, const std::string& what) {
    return text_option(name, "", what, "LIST");
  };
  options.add(
      "Measurements",
      {text_option("suite", "all", help, "NAMES"),
       whole_option("repeats", kLeastRepeats, kLeastRepeats, 1000,
                    "runs that a median is taken of"),
       list("steps", "steps, comma-separated, in place of each suite's own"),
       list("width", "widths, the same way"), list("batch", "samples, the same way"),
       list("precision", "of the network in generate: single, double; both by default"),
       list("methods", fmt::format("of generate, comma-separated: {}; all by default",
                                   fmt::join(sampling_methods(), ", "))),
       real_option("most-seconds", "60", 0, 1e9,
                   "generate: what is expected to take longer in all its runs is run once; what "
                   "takes longer in one is left out, and listed with the speedup that its "
                   "evaluations predict"),
       list("chains", "chains of shooting, pipeline and path, such as 'mlp tanh,resnet 1/L relu'"),
       flag_option("quick", "one run of a small size each, to see that all works; no measurement"),
       cli::written_file("csv", file_format::kCsv,
                         "write the rows as comma-separated values, as they come"),
       cli::written_file("output", file_format::kBench, "write the rows as HDF5, for deeppcr-plot"),
       cli::force_option()});
}

int run(const Options& options, const cli::Context& context) {
  const std::vector<Suite> chosen = read_suites(options);
  const std::string& csv = options.word("csv");
  const std::string& output = options.word("output");
  Harness harness(context, read_settings(options));
  const std::vector<std::string> about = circumstances(context);
  const bool speaks = context.comm.is_root() && !context.quiet && !context.json;
  if (speaks) {
    print_out(fmt::format(
        "{}\nratio: how many times as fast as the baseline; --csv and --output keep all columns\n",
        fmt::join(about, "\n")));
  }
  // What fails on the way is told of at the end, if it fails there too.
  if (!csv.empty()) harness.on_show([&] { write_csv(csv, harness, about); });
  run_suites(chosen, harness, speaks);
  if (speaks) print_summary(harness);
  if (context.comm.is_root() && context.json) print_json(harness, about);
  if (!csv.empty()) {
    parallel::agree(context.comm, [&] {
      if (!context.comm.is_root()) return;
      const std::string failure = write_csv(csv, harness, about);
      if (!failure.empty()) throw internal_error("--csv {}: cannot be written: {}", csv, failure);
    });
  }
  if (!output.empty()) write_hdf5(context, output, harness.rows());
  return 0;
}

}  // namespace deeppcr::bench
