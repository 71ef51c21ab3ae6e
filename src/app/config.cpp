#include "app/config.hpp"

#include <filesystem>
#include <vector>

#include "app/option_values.hpp"
#include "app/storage.hpp"
#include "app/suggest.hpp"
#include "app/written_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

constexpr Index kMostSteps = 1'000'000'000'000;
constexpr Index kMostBatch = 1'000'000'000;
/// A block [n x n] is counted with the 32-bit integers of BLAS.
constexpr Index kMostWidth = 32768;
constexpr Index kMostSeed = 1'000'000'000'000'000;
constexpr Index kMostIterations = 50;
constexpr const char* kMinutesToSave = "10";
constexpr const char* kDefaultCheckpoint = "deeppcr.ckpt.h5";

std::vector<std::string> backward_names() {
  std::vector<std::string> names{"same", "linear", "auto"};
  for (const auto& entry : linear::catalogue()) names.emplace_back(entry.name);
  return names;
}

bool given(const po::variables_map& options, const char* name) {
  return options.count(name) > 0 && !options[name].defaulted();
}

/// A group's title, with the reason when its options cannot be used.
std::string title(const std::string& name) {
  const std::string reason = storage::unavailable();
  return reason.empty() ? name : fmt::format("{} ({})", name, reason);
}

void add_data_options(po::options_description& options) {
  po::options_description group("Samples and weights", kHelpColumns);
  auto add = group.add_options();
  add("data", read_file("NAME", "random"),
      "random: normal noise as z_0; fashion-mnist, or a folder with IDX files: images through a "
      "linear embedding");
  add("input", read_file(), "HDF5 file with /inputs [B, features] and /labels [B]");
  add("weights", read_file(), "HDF5 file with the layers of the chain");
  add("save-weights", written_file(file_format::kWeights), "write the weights of this run");
  options.add(group);
}

void add_solver_options(po::options_description& options) {
  const std::vector<OfferedEntry> solvers = offered(nonlinear::catalogue());
  po::options_description group("Solver", kHelpColumns);
  add_selector(group, "nonlinear", "auto", solvers);
  auto add = group.add_options();
  add("backward", one_of("backward", "same", backward_names()),
      "gradient: the linear solver of the backward pass; linear: that of --linear; auto: what "
      "is predicted to be fastest; same: as suits --nonlinear");
  add("rtol", real_number("rtol", "1e-10", 0, 1),
      "stop at states that are so close to sequential execution, relative to the largest state");
  add("atol", real_number("atol", "0", 0, 1e300), "or so close, absolute");
  add("max-iterations", whole_number("max-iterations", kMostIterations, 0, 1'000'000),
      "iterations or corrections at most; left out: 50 of newton, of shooting as many as there are "
      "chunks");
  add("no-fallback", flag(),
      "do not end by sequential substitution where the iterations do not converge");
  add("guess", read_file("WHAT", "copy"),
      "first states: copy (of z_0), zero, random, coarse:K (a resnet of every K-th step with K "
      "times the scale), or a trace or checkpoint FILE");
  add("verify", flag(), "run sequential execution too, on the same ranks, and compare");
  add_entry_options(group, "nonlinear", solvers);
  options.add(group);
}

/// Whether an option asks for something: it has another value than when it is left out.
bool asked_for(const po::variables_map& options, const std::string& name) {
  if (name == "max-hours") return real_of(options, name) > 0;
  if (name == "checkpoint-every")
    return real_of(options, name) > 0 && real_of(options, name) != std::stod(kMinutesToSave);
  const std::string value = text_of(options, name);
  const char* idle = name == "guess"          ? "copy"
                     : name == "data"         ? "random"
                     : name == "trace-states" ? "none"
                                              : "";
  return value != idle;
}

/// Options that only make sense with another one, or without it.
void refuse_contradictions(const po::variables_map& options) {
  const auto without = [&](const char* name, const char* other, const char* why) {
    if (asked_for(options, name) && asked_for(options, other))
      throw input_error("--{} and --{} exclude each other: {}; leave one out", name, other, why);
  };
  without("restart", "guess", "both say where to start");
  without("data", "input", "both give the samples");
  const std::string method = text_of(options, "nonlinear");
  if (!nonlinear::find(method).iterates) {
    for (const char* name : {"guess", "restart", "checkpoint", "checkpoint-every", "max-hours"}) {
      if (!asked_for(options, name)) continue;
      throw input_error(
          "--{} goes with iterations, and --nonlinear {} has none; leave it out "
          "or use --nonlinear newton or shooting",
          name, method);
    }
  }
  if (real_of(options, "rtol") == 0 && real_of(options, "atol") == 0)
    throw input_error("--rtol 0 with --atol 0 can never be reached; give one a value above 0");
}

void refuse_files_without_io(const po::variables_map& options) {
  const std::string reason = storage::unavailable();
  if (reason.empty()) return;
  for (const char* name :
       {"trace", "checkpoint", "restart", "output", "weights", "input", "save-weights", "data"}) {
    if (asked_for(options, name))
      throw input_error("--{} {}: {}", name, text_of(options, name), reason);
  }
}

void check_trace_states(const std::string& which) {
  const bool every = which.rfind("every:", 0) == 0 && which.size() > 6 &&
                     which.find_first_not_of("0123456789", 6) == std::string::npos &&
                     which.find_first_not_of('0', 6) != std::string::npos && which.size() < 20;
  if (every || which == "all" || which == "last" || which == "none") return;
  throw input_error(
      "--trace-states {}: allowed: all, last, none, every:K with K from 1, such as "
      "every:64",
      which);
}

/// The option for layers in a step that a weights file of the chosen model decides; empty without.
std::string layers_option(const po::variables_map& options) {
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == text_of(options, "model") && entry.weights)
      return entry.weights->layers_option;
  return "";
}

std::string folder_of(const std::string& file) {
  const std::filesystem::path parent = std::filesystem::path(file).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

std::string SolverConfig::backward_solver() const {
  if (backward == "linear") {
    const bool has = settings.own.has("linear");
    return has ? settings.own.word("linear") : nonlinear::find("newton").backward_for({});
  }
  return backward == "same" ? entry().backward_for(settings.own) : backward;
}

std::string default_checkpoint(const std::string& trace) {
  if (trace.empty()) return kDefaultCheckpoint;
  return (std::filesystem::path(folder_of(trace)) / kDefaultCheckpoint).string();
}

std::string FilesConfig::checkpoint_path() const {
  return checkpoint.empty() ? default_checkpoint(trace) : checkpoint;
}

std::string FilesConfig::folder() const { return folder_of(checkpoint_path()); }

bool comes_from_file(const po::variables_map& options, const std::string& name) {
  const bool chain = name == "steps" || name == "width" || name == layers_option(options);
  const char* file = chain ? "weights" : "input";
  const bool size = chain || name == "batch";
  return size && options[name].defaulted() && !text_of(options, file).empty();
}

void add_model_options(po::options_description& options, DefaultSizes sizes,
                       const std::vector<OfferedEntry>& more_models) {
  std::vector<OfferedEntry> entries = offered(models::catalogue());
  entries.insert(entries.end(), more_models.begin(), more_models.end());
  po::options_description group("Model", kHelpColumns);
  add_selector(group, "model", "resnet", entries);
  auto add = group.add_options();
  add("steps", whole_number("steps", sizes.steps, 0, kMostSteps), "length L of the chain");
  add("width", whole_number("width", sizes.width, 1, kMostWidth), "numbers n in a state");
  add("batch", whole_number("batch", sizes.batch, 1, kMostBatch), "samples B");
  add("seed", whole_number("seed", 1, 0, kMostSeed), "of weights, noise and labels");
  add_entry_options(group, "model", entries);
  options.add(group);
}

po::options_description run_file_options() {
  po::options_description group(title("Files"), kHelpColumns);
  auto add = group.add_options();
  add("trace", written_file(file_format::kTrace),
      "history of the run, HDF5; readable while it runs");
  add("checkpoint", written_file(file_format::kCheckpoint),
      "where checkpoints go; without it only a stop writes one, deeppcr.ckpt.h5 beside the trace "
      "or in the current folder");
  add("checkpoint-every", real_number("checkpoint-every", kMinutesToSave, 0, 1e6),
      "minutes between checkpoints, the first after a second; 0: not by the clock");
  add("restart", read_file(), "go on from this checkpoint; auto: the newest intact one, if any");
  add("max-hours", real_number("max-hours", "0", 0, 1e6),
      "stop with a checkpoint after so many hours; 0: no limit");
  add_force_option(group);
  return group;
}

void add_file_options(po::options_description& options) {
  po::options_description group = run_file_options();
  auto add = group.add_options();
  add("trace-states", text("WHICH", "none"), "states to keep: all, last, none, every:K");
  add("output", written_file(file_format::kResults), "write the results, HDF5");
  options.add(group);
}

void add_run_options(po::options_description& options) {
  add_model_options(options, DefaultSizes{});
  add_data_options(options);
  add_solver_options(options);
  add_file_options(options);
}

void add_loss_options(po::options_description& options) {
  po::options_description group("Loss", kHelpColumns);
  add_selector(group, "loss", "cross-entropy", offered(models::losses()));
  add_entry_options(group, "loss", offered(models::losses()));
  options.add(group);
}

void add_gradient_options(po::options_description& options) {
  add_run_options(options);
  add_loss_options(options);
}

ChainConfig read_chain_config(const po::variables_map& options) {
  ChainConfig config;
  models::ModelOptions& model = config.model;
  model.model = text_of(options, "model");
  model.steps = whole_of(options, "steps");
  model.width = static_cast<int>(whole_of(options, "width"));
  model.seed = static_cast<std::uint64_t>(whole_of(options, "seed"));
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model.model) model.own = entry_values(entry.options, options);
  if (options.count("loss") > 0) {
    config.loss.name = text_of(options, "loss");
    config.loss.own = entry_values(models::find_loss(config.loss.name).options, options);
  }
  config.batch = whole_of(options, "batch");
  config.data = text_of(options, "data");
  config.weights = text_of(options, "weights");
  config.input = text_of(options, "input");
  config.steps_given = given(options, "steps");
  config.width_given = given(options, "width");
  config.batch_given = given(options, "batch");
  return config;
}

void check_file_options(const po::variables_map& options) {
  check_trace_states(text_of(options, "trace-states"));
  if (asked_for(options, "trace-states") && !asked_for(options, "trace"))
    throw input_error("--trace-states needs --trace FILE, where the states go");
  if (asked_for(options, "checkpoint-every") && !asked_for(options, "checkpoint"))
    throw input_error("--checkpoint-every needs --checkpoint FILE");
}

FilesConfig read_files_config(const po::variables_map& options) {
  FilesConfig files;
  files.trace = text_of(options, "trace");
  files.trace_states = text_of(options, "trace-states");
  files.checkpoint = text_of(options, "checkpoint");
  if (!files.checkpoint.empty()) files.minutes_to_save = real_of(options, "checkpoint-every");
  files.restart = text_of(options, "restart");
  files.max_hours = real_of(options, "max-hours");
  files.save_weights = text_of(options, "save-weights");
  files.output = text_of(options, "output");
  return files;
}

nonlinear::Settings read_settings(const po::variables_map& options) {
  nonlinear::Settings settings;
  settings.tolerance = {real_of(options, "rtol"), real_of(options, "atol")};
  if (given(options, "max-iterations"))
    settings.max_iterations = static_cast<int>(whole_of(options, "max-iterations"));
  settings.fallback = !is_set(options, "no-fallback");
  settings.own = entry_values(nonlinear::find(text_of(options, "nonlinear")).options, options);
  return settings;
}

RunConfig read_run_config(const po::variables_map& options) {
  refuse_files_without_io(options);
  refuse_contradictions(options);
  RunConfig config;
  config.chain = read_chain_config(options);
  SolverConfig& solver = config.solver;
  solver.name = text_of(options, "nonlinear");
  solver.settings = read_settings(options);
  solver.backward = text_of(options, "backward");
  solver.make();  // refuses options that contradict each other
  check_file_options(options);
  solver.guess = text_of(options, "guess");
  solver.verify = is_set(options, "verify");
  config.files = read_files_config(options);
  return config;
}

}  // namespace deeppcr::app
