#include "app/config.hpp"

#include <filesystem>
#include <vector>

#include "app/options.hpp"
#include "app/written_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
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

void add_data_options(po::options_description& options) {
  add_group(
      options, "Samples and weights",
      {read_file("data",
                 "random: normal noise as z_0; fashion-mnist, or a folder with IDX files: images "
                 "through a linear embedding",
                 "NAME", "random"),
       read_file("input", "HDF5 file with /inputs [B, features] and /labels [B]"),
       read_file("weights", "HDF5 file with the layers of the chain"),
       written_file("save-weights", file_format::kWeights, "write the weights of this run")});
}

void add_solver_options(po::options_description& options) {
  add_group(
      options, "Solver",
      {word_option("backward", "same", backward_names(),
                   "gradient: the linear solver of the backward pass; linear: that of --linear; "
                   "auto: what is predicted to be fastest; same: as suits --nonlinear"),
       real_option("rtol", "1e-10", 0, 1,
                   "stop at states that are so close to sequential execution, relative to the "
                   "largest state"),
       real_option("atol", "0", 0, 1e300, "or so close, absolute"),
       whole_option("max-iterations", kMostIterations, 0, 1'000'000,
                    "iterations or corrections at most; left out: 50 of newton, of shooting as "
                    "many as there are chunks"),
       flag_option("no-fallback",
                   "do not end by sequential substitution where the iterations do not converge"),
       read_file("guess",
                 "first states: copy (of z_0), zero, random, coarse:K (a resnet of every K-th step "
                 "with K times the scale), or a trace or checkpoint FILE",
                 "WHAT", "copy"),
       flag_option("verify", "run sequential execution too, on the same ranks, and compare")},
      {{"nonlinear", "auto", offered(nonlinear::catalogue())}});
}

/// Options that only make sense with another one, or without it.
void refuse_contradictions(const po::variables_map& options) {
  const auto without = [&](const char* name, const char* other, const char* why) {
    if (given(options, name) && given(options, other))
      throw input_error("--{} and --{} exclude each other: {}; leave one out", name, other, why);
  };
  without("restart", "guess", "both say where to start");
  without("data", "input", "both give the samples");
  const std::string method = text_of(options, "nonlinear");
  if (!nonlinear::find(method).iterates) {
    for (const char* name : {"guess", "restart", "checkpoint", "checkpoint-every", "max-hours"}) {
      if (!given(options, name)) continue;
      throw input_error(
          "--{} goes with iterations, and --nonlinear {} has none; leave it out "
          "or use --nonlinear newton or shooting",
          name, method);
    }
  }
  if (real_of(options, "rtol") == 0 && real_of(options, "atol") == 0)
    throw input_error("--rtol 0 with --atol 0 can never be reached; give one a value above 0");
}

std::string folder_of(const std::string& file) {
  const std::filesystem::path parent = std::filesystem::path(file).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

io::Problem ChainConfig::problem() const {
  return {model.model, model.steps, batch, model.width, static_cast<Index>(model.seed), function};
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

void add_model_options(po::options_description& options, DefaultSizes sizes,
                       const std::vector<OfferedEntry>& more_models) {
  std::vector<OfferedEntry> entries = offered(models::catalogue());
  entries.insert(entries.end(), more_models.begin(), more_models.end());
  add_group(options, "Model",
            {whole_option("steps", sizes.steps, 0, kMostSteps, "length L of the chain"),
             whole_option("width", sizes.width, 1, kMostWidth, "numbers n in a state"),
             whole_option("batch", sizes.batch, 1, kMostBatch, "samples B"),
             whole_option("seed", 1, 0, kMostSeed, "of weights, noise and labels")},
            {{"model", "resnet", entries}});
}

void add_file_options(po::options_description& options, const std::vector<OptionSpec>& more) {
  std::vector<OptionSpec> specs{
      written_file("trace", file_format::kTrace,
                   "history of the run, HDF5; readable while it runs"),
      written_file("checkpoint", file_format::kCheckpoint,
                   "where checkpoints go; without it only a stop writes one, deeppcr.ckpt.h5 "
                   "beside the trace or in the current folder"),
      real_option("checkpoint-every", kMinutesToSave, 0, 1e6,
                  "minutes between checkpoints, the first after a second; 0: not by the clock"),
      read_file("restart", "go on from this checkpoint; auto: the newest intact one, if any"),
      real_option("max-hours", "0", 0, 1e6,
                  "stop with a checkpoint after so many hours; 0: no limit"),
      force_option()};
  specs.insert(specs.end(), more.begin(), more.end());
  add_group(options, "Files", specs);
}

std::vector<OptionSpec> result_options() {
  return {text_option("trace-states", "none", "states to keep: all, last, none, every:K", "WHICH"),
          written_file("output", file_format::kResults, "write the results, HDF5")};
}

void add_run_options(po::options_description& options) {
  add_model_options(options, DefaultSizes{});
  add_data_options(options);
  add_solver_options(options);
  add_file_options(options, result_options());
}

void add_loss_options(po::options_description& options) {
  add_group(options, "Loss", {}, {{"loss", "cross-entropy", offered(models::losses())}});
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
  config.batch_given = given(options, "batch");
  return config;
}

void check_file_options(const po::variables_map& options) {
  io::StateSelection::parse(text_of(options, "trace-states"));
  if (given(options, "trace-states") && !given(options, "trace"))
    throw input_error("--trace-states needs --trace FILE, where the states go");
  if (given(options, "checkpoint-every") && !given(options, "checkpoint"))
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

RunConfig read_run_config(const po::variables_map& options, linear::Passes passes) {
  refuse_contradictions(options);
  RunConfig config;
  config.chain = read_chain_config(options);
  SolverConfig& solver = config.solver;
  solver.name = text_of(options, "nonlinear");
  solver.settings = read_settings(options);
  solver.backward = text_of(options, "backward");
  solver.passes = passes;
  solver.make();  // refuses options that contradict each other
  check_file_options(options);
  solver.guess = text_of(options, "guess");
  solver.verify = is_set(options, "verify");
  config.files = read_files_config(options);
  return config;
}

}  // namespace deeppcr::app
