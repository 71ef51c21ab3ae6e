#include "app/config.hpp"

#include <filesystem>
#include <vector>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"

namespace deeppcr::app {
namespace {

constexpr Index kMostSteps = 1'000'000'000'000;
constexpr Index kMostBatch = 1'000'000'000;
/// A block [n x n] is counted with the 32-bit integers of BLAS.
constexpr Index kMostWidth = 32768;
constexpr Index kMostSeed = 1'000'000'000'000'000;
constexpr Index kMostIterations = 50;
constexpr const char* kMinutesToSave = "10";
constexpr const char* kDefaultCheckpoint = "deeppcr.ckpt.h5";

std::vector<std::string> backward_names() {
  std::vector<std::string> names = nonlinear::backward_names();
  names.insert(names.begin(), {"same", "linear"});
  return names;
}

void add_data_options(cli::Options& options) {
  options.add(
      "Samples and weights",
      {cli::read_file(
           "data",
           "random: normal noise as z_0; fashion-mnist, or a folder with IDX files: images "
           "through a linear embedding",
           "NAME", "random"),
       cli::read_file("input",
                      "HDF5 file with /inputs [B, features] and /labels [B]; for recurrent cells "
                      "sequences /inputs [B, steps, features], or WAV or CSV"),
       cli::read_file("state",
                      "recurrent cells: first states /state [B, numbers], as --output writes the "
                      "last ones; left out: zero"),
       whole_option("frame", 1, 1, kMostBatch, "samples of a WAV file in a step"),
       cli::read_file("weights", "the layers or cells of the chain, HDF5 or safetensors"),
       cli::written_file("save-weights", file_format::kWeights, "write the weights of this run")});
}

void add_solver_options(cli::Options& options) {
  options.add(
      "Solver",
      {word_option(
           "backward", "same", backward_names(),
           "gradient: the backward pass, by a linear solver, pipeline or wavefront; linear: "
           "that of --linear; auto: what is predicted to be fastest; same: as suits --nonlinear"),
       real_option("rtol", "1e-10", 0, 1,
                   "stop at states that are so close to sequential execution, relative to the "
                   "largest state; without it 1e-5 for modules in single precision"),
       real_option("atol", "0", 0, 1e300, "or so close, absolute"),
       whole_option("max-iterations", kMostIterations, 0, 1'000'000,
                    "iterations or corrections at most; left out: 50 of newton, of shooting as "
                    "many as there are chunks"),
       flag_option("no-fallback",
                   "do not end by sequential substitution where the iterations do not converge"),
       cli::read_file(
           "guess",
           "first states: copy (of z_0), zero, random, coarse:K (a resnet of every K-th step "
           "with K times the scale), or a trace or checkpoint FILE",
           "WHAT", "copy"),
       flag_option("verify", "run sequential execution too, on the same ranks, and compare")},
      {{"nonlinear", "auto", cli::offered(nonlinear::catalogue())}});
}

/// Options that only make sense with another one, or without it.
void refuse_contradictions(const OptionValues& options) {
  const auto without = [&](const char* name, const char* other, const char* why) {
    if (options.given(name) && options.given(other))
      throw input_error("--{} and --{} exclude each other: {}; leave one out", name, other, why);
  };
  without("restart", "guess", "both say where to start");
  without("data", "input", "both give the samples");
  const std::string method = options.text("nonlinear");
  if (!nonlinear::find(method).iterates) {
    for (const char* name : {"guess", "restart", "checkpoint", "checkpoint-every", "max-hours"}) {
      if (!options.given(name)) continue;
      throw input_error(
          "--{} goes with iterations, and --nonlinear {} has none; leave it out "
          "or use --nonlinear newton or shooting",
          name, method);
    }
  }
  if (options.real("rtol") == 0 && options.real("atol") == 0)
    throw input_error("--rtol 0 with --atol 0 can never be reached; give one a value above 0");
}

std::string folder_of(const std::string& file) {
  const std::filesystem::path parent = std::filesystem::path(file).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

int ChainConfig::state_width() const {
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model.model) return models::state_width(model);
  return model.width;  // a denoising chain
}

int ChainConfig::stacked_cells() const {
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model.model && entry.cells)
      return static_cast<int>(model.own.whole("layers"));
  return 0;
}

io::Problem ChainConfig::problem() const {
  io::Problem problem{model.model, model.steps, batch, state_width(),
                      static_cast<Index>(model.seed)};
  problem.function = function;
  problem.inputs = inputs;
  return problem;
}

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

std::optional<std::string> FilesConfig::restart_path(const parallel::Communicator& comm) const {
  if (restart.empty()) return std::nullopt;
  if (restart != "auto") return restart;
  const auto path = io::find_newest_intact(comm, checkpoint_path());
  if (!path) log::info("no checkpoint of {} yet: starting afresh", checkpoint_path());
  return path;
}

std::string FilesConfig::folder() const { return folder_of(checkpoint_path()); }

void add_model_options(cli::Options& options, DefaultSizes sizes,
                       const std::vector<cli::OfferedEntry>& more_models) {
  std::vector<cli::OfferedEntry> entries = cli::offered(models::catalogue());
  entries.insert(entries.end(), more_models.begin(), more_models.end());
  std::vector<OptionSpec> specs{
      whole_option("steps", sizes.steps, 0, kMostSteps, "length L of the chain"),
      whole_option("width", sizes.width, 1, kMostWidth, "numbers n in a state"),
      whole_option("seed", 1, 0, kMostSeed, "of weights, noise and labels")};
  if (sizes.batch > 0)
    specs.insert(specs.end() - 1, whole_option("batch", sizes.batch, 1, kMostBatch, "samples B"));
  options.add("Model", specs, {{"model", "resnet", entries}});
}

void add_file_options(cli::Options& options, const std::vector<OptionSpec>& more) {
  std::vector<OptionSpec> specs{
      cli::written_file("trace", file_format::kTrace,
                        "history of the run, HDF5; readable while it runs"),
      cli::written_file("checkpoint", file_format::kCheckpoint,
                        "where checkpoints go; without it only a stop writes one, deeppcr.ckpt.h5 "
                        "beside the trace or in the current folder"),
      real_option("checkpoint-every", kMinutesToSave, 0, 1e6,
                  "minutes between checkpoints, the first after a second; 0: not by the clock"),
      cli::read_file("restart", "go on from this checkpoint; auto: the newest intact one, if any"),
      real_option("max-hours", "0", 0, 1e6,
                  "stop with a checkpoint after so many hours; 0: no limit"),
      cli::force_option()};
  specs.insert(specs.end(), more.begin(), more.end());
  options.add("Files", specs);
}

std::vector<OptionSpec> result_options() {
  return {text_option("trace-states", "none", "states to keep: all, last, none, every:K", "WHICH"),
          cli::written_file("output", file_format::kResults, "write the results, HDF5")};
}

void add_run_options(cli::Options& options) {
  add_model_options(options, DefaultSizes{});
  add_data_options(options);
  add_solver_options(options);
  add_file_options(options, result_options());
}

void add_loss_options(cli::Options& options) {
  options.add("Loss", {}, {{"loss", "cross-entropy", cli::offered(models::losses())}});
}

void add_gradient_options(cli::Options& options) {
  add_run_options(options);
  add_loss_options(options);
}

ChainConfig read_chain_config(const OptionValues& options) {
  ChainConfig config;
  models::ModelOptions& model = config.model;
  model.model = options.text("model");
  model.steps = options.whole("steps");
  model.width = static_cast<int>(options.whole("width"));
  model.seed = static_cast<std::uint64_t>(options.whole("seed"));
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model.model) model.own = options.part(entry.options);
  if (options.has("loss")) {
    config.loss.name = options.text("loss");
    config.loss.own = options.part(models::find_loss(config.loss.name).options);
  }
  if (options.has("batch")) config.batch = options.whole("batch");
  config.data = options.text("data");
  config.weights = options.text("weights");
  config.input = options.text("input");
  config.batch_given = options.given("batch");
  config.steps_given = options.given("steps");
  config.width_given = options.given("width");
  config.state = options.text("state");
  if (options.has("frame")) config.frame = options.whole("frame");
  return config;
}

void check_file_options(const OptionValues& options) {
  io::StateSelection::parse(options.text("trace-states"));
  if (options.given("trace-states") && !options.given("trace"))
    throw input_error("--trace-states needs --trace FILE, where the states go");
  if (options.given("checkpoint-every") && !options.given("checkpoint"))
    throw input_error("--checkpoint-every needs --checkpoint FILE");
}

FilesConfig read_files_config(const OptionValues& options) {
  FilesConfig files;
  files.trace = options.text("trace");
  files.trace_states = options.text("trace-states");
  files.checkpoint = options.text("checkpoint");
  if (!files.checkpoint.empty()) files.minutes_to_save = options.real("checkpoint-every");
  files.restart = options.text("restart");
  files.max_hours = options.real("max-hours");
  files.save_weights = options.text("save-weights");
  files.output = options.text("output");
  return files;
}

nonlinear::Settings read_settings(const OptionValues& options) {
  nonlinear::Settings settings;
  settings.tolerance = {options.real("rtol"), options.real("atol")};
  if (options.given("max-iterations"))
    settings.max_iterations = static_cast<int>(options.whole("max-iterations"));
  settings.fallback = !options.flag("no-fallback");
  settings.own = options.part(nonlinear::find(options.text("nonlinear")).options);
  return settings;
}

RunConfig read_run_config(const OptionValues& options, linear::Passes passes) {
  refuse_contradictions(options);
  RunConfig config;
  config.chain = read_chain_config(options);
  SolverConfig& solver = config.solver;
  solver.name = options.text("nonlinear");
  solver.settings = read_settings(options);
  solver.tolerance_given = options.given("rtol") || options.given("atol");
  solver.backward = options.text("backward");
  solver.passes = passes;
  solver.make();  // refuses options that contradict each other
  check_file_options(options);
  solver.guess = options.text("guess");
  solver.verify = options.flag("verify");
  config.files = read_files_config(options);
  return config;
}

}  // namespace deeppcr::app
