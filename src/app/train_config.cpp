#include "app/train_config.hpp"

#include <algorithm>

#include "app/local_steps_config.hpp"
#include "app/pipeline_config.hpp"
#include "app/train_diffusion.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::app {
namespace {

constexpr Index kMany = 1'000'000'000'000;
constexpr Index kMostRanks = 1'000'000;

/// "auto" and the linear solvers; for one of the passes also "linear".
std::vector<std::string> methods(bool one_pass) {
  std::vector<std::string> names = linear::names(blocks::Structure::dense);
  names.insert(names.begin(), "auto");
  if (one_pass) names.emplace_back("linear");
  return names;
}

/// The nonlinear solvers; their linear solver has an option of its own in training.
std::vector<cli::OfferedEntry> forward_solvers() {
  std::vector<cli::OfferedEntry> entries = cli::offered(nonlinear::catalogue());
  for (cli::OfferedEntry& entry : entries) {
    auto& options = entry.options;
    options.erase(std::remove_if(options.begin(), options.end(),
                                 [](const OptionSpec& one) { return one.name == "linear"; }),
                  options.end());
  }
  return entries;
}

/// The options of one of them.
std::vector<OptionSpec> forward_options(const std::string& name) {
  for (const cli::OfferedEntry& entry : forward_solvers())
    if (entry.name == name) return entry.options;
  return {};
}

void add_data_options(cli::Options& options) {
  options.add(
      "Samples",
      {cli::read_file(
           "data",
           "fashion-mnist, a folder with IDX files of training and test images, or random: "
           "noise around ten pictures",
           "NAME", "fashion-mnist"),
       cli::read_file("input",
                      "sequences in place of images, for recurrent cells: HDF5 with /inputs "
                      "[B, T, features], and /labels or /targets; WAV or CSV with --target next"),
       cli::read_file("test-input", "sequences to score with"),
       real_option("test-share", "0.2", 0, 1,
                   "without --test-input, the last part of the sequences of --input is for the "
                   "test; 0: those that were trained with"),
       whole_option("frame", 1, 1, kMany, "of WAV: samples of the recording in one step"),
       word_option("target", "stored", {"stored", "next"},
                   "what --loss mean-square compares with: the file's /targets, or of any file the "
                   "inputs of the next step, which the last step has none of"),
       word_option("as", "rows", {"rows", "pixels"},
                   "images for recurrent cells: a row a step, or a pixel a step"),
       whole_option("permute", 0, 0, kMany,
                    "pixels in another order, the same for all images, by this seed; 0: in rows"),
       whole_option("samples", 0, 0, kMany, "training samples, the first ones of the set; 0: all"),
       whole_option("test-samples", 0, 0, kMany, "test samples; 0: all"),
       whole_option("shift", 0, 0, 1000, "move each image by up to so many pixels at random"),
       flag_option("flip", "mirror each second image at random")});
}

void add_optimiser_options(cli::Options& options) {
  options.add(
      "Optimiser",
      {whole_option("epochs", 1, 1, 1'000'000, "passes through the training set"),
       whole_option("max-steps", 0, 0, kMany,
                    "updates at most; the schedule stays that of the epochs; 0: no limit"),
       real_option("learning-rate", "3e-3", 0, 1e6, "largest learning rate"),
       whole_option("warm-up", 100, 0, kMany, "updates in which the rate rises"),
       clip_norm_option(),
       whole_option("truncate", 0, 0, kMany,
                    "of inputs over time: gradients stay within windows of so many steps, counted "
                    "from the first step; 0: they flow through all"),
       whole_option("keep-trajectories", 0, 0, kMany,
                    "solvers that iterate start from the last trajectories of so many samples, "
                    "which take steps x width numbers each; 0: from copies of z_0"),
       whole_option("evaluate-every", 1, 0, 1'000'000,
                    "epochs between scores on the test set; 0: at the end alone")},
      {{"schedule", "cosine", cli::offered(train::schedules())},
       {"optimiser", "adamw", cli::offered(train::optimisers())}});
}

std::vector<OptionSpec> training_files() {
  return {whole_option("checkpoint-steps", 0, 0, kMany,
                       "updates between checkpoints; 0: by the clock alone"),
          cli::read_file("weights", "start from these weights, HDF5 or safetensors"),
          cli::written_file("save-weights", file_format::kWeights,
                            "write the trained weights in PyTorch's layout, HDF5")};
}

void refuse_contradictions(const OptionValues& options) {
  if (options.whole("steps") == 0) throw input_error("--steps 0: train needs 1 or more");
  if (options.real("newton-rtol") == 0)
    throw input_error("--newton-rtol 0 can never be reached; give a value above 0, such as 1e-8");
  if (!options.text("weights").empty() && !options.text("restart").empty())
    throw input_error("--weights and --restart exclude each other: both say where to start");
  if (options.whole("checkpoint-steps") > 0 && options.text("checkpoint").empty())
    throw input_error("--checkpoint-steps needs --checkpoint FILE");
}

SequenceConfig read_sequences(const OptionValues& options) {
  SequenceConfig sequences;
  sequences.input = options.text("input");
  sequences.test_input = options.text("test-input");
  sequences.test_share = options.real("test-share");
  sequences.frame = options.whole("frame");
  sequences.predicts_next = options.word("target") == "next";
  sequences.as = options.word("as");
  sequences.permutation = static_cast<std::uint64_t>(options.whole("permute"));
  sequences.steps_given = options.given("steps");
  sequences.truncate = options.whole("truncate");
  return sequences;
}

}  // namespace

void add_module_options(cli::Options& options) {
  options.add("Modules of --model torch",
              {cli::read_file("embedding",
                              "TorchScript file from a sample to z_0; left out: a linear layer"),
               cli::read_file("head",
                              "TorchScript file from the last state to the outputs, one a class; "
                              "left out: a linear layer"),
               cli::written_file("save-module", file_format::kModule,
                                 "write the trained chain as TorchScript, and of FILE.pt the ends "
                                 "that are modules as FILE.embedding.pt and FILE.head.pt")});
}

OptionSpec clip_norm_option() {
  return real_option("clip-norm", "1", 0, 1e300, "shorten longer gradients to this norm; 0: never");
}

train::OptimiserOptions read_optimiser(const OptionValues& options) {
  train::OptimiserOptions optimiser;
  optimiser.rule = options.text("optimiser");
  optimiser.own = options.part(train::find_optimiser(optimiser.rule).options);
  optimiser.clip_norm = options.real("clip-norm");
  return optimiser;
}

train::Schedule read_schedule(const OptionValues& options) {
  train::Schedule schedule;
  schedule.name = options.text("schedule");
  schedule.own = options.part(train::find_schedule(schedule.name).options);
  schedule.peak = options.real("learning-rate");
  schedule.warm_up = options.whole("warm-up");
  return schedule;
}

void refuse_mixed_samples(const OptionValues& options) {
  const bool signals = !options.text("input").empty();
  for (const char* name : {"data", "as", "permute", "shift", "flip"}) {
    if (signals && options.given(name))
      throw input_error("--{} is for images, and --input {} has sequences; leave one of them out",
                        name, options.text("input"));
  }
  for (const char* name : {"test-input", "test-share", "frame", "target"}) {
    if (!signals && options.given(name))
      throw input_error("--{} goes with --input FILE, a file of sequences; leave it out", name);
  }
  if (options.given("test-input") && options.given("test-share"))
    throw input_error(
        "--test-input and --test-share exclude each other: both say what to score with; leave one "
        "out");
}

void add_grid_options(cli::Options& options) {
  options.add(
      "Ranks and solver",
      {whole_option("depth-ranks", 0, 0, kMostRanks,
                    "ranks that the steps are split over; 0: by the cost formulas"),
       whole_option("data-ranks", 0, 0, kMostRanks,
                    "ranks that the samples of a batch are split over; 0: the others"),
       word_option("linear", "auto", methods(false),
                   "both passes where --nonlinear is left out or newton: auto (by the cost "
                   "formulas), sequential (step after step; the same as --nonlinear sequential), "
                   "or Newton's method with another linear solver"),
       word_option("forward-linear", "linear", methods(true),
                   "the forward pass; linear: as --linear says"),
       word_option("backward-linear", "linear", methods(true),
                   "the backward pass; linear: as --linear says"),
       real_option("newton-rtol", "1e-8", 0, 1,
                   "how close the states are to sequential execution, relative to the largest "
                   "state"),
       whole_option("max-iterations", 50, 1, 1'000'000,
                    "iterations or corrections at most, then sequential substitution; left out: 50 "
                    "of newton, of others their own limit")},
      {{"nonlinear", "auto", forward_solvers()}});
}

void add_train_options(cli::Options& options) {
  add_model_options(options, {1024, 16, 32}, diffusion_models());
  add_module_options(options);
  add_data_options(options);
  add_binary_options(options);
  add_loss_options(options);
  add_optimiser_options(options);
  add_local_steps_options(options);
  add_grid_options(options);
  add_pipeline_options(options);
  add_file_options(options, training_files());
}

namespace {

/// The forward solver: by its name, or by its linear solver.
void read_forward(const OptionValues& options, const std::string& linear,
                  train::PassMethods& methods) {
  const std::string name = options.text("nonlinear");
  OptionValues& own = methods.settings.own;
  const bool open = name == "auto", wants_linear = linear != "auto";
  if (open && !wants_linear) {
    own = options.part(forward_options(name));
    methods.forward = name;
    return;
  }
  // Step after step has a name of its own among the nonlinear solvers.
  const bool by_steps = wants_linear && linear::find(linear).make()->walks_in_a_row();
  methods.forward = !open ? name : by_steps ? "sequential" : "newton";
  own = OptionValues(nonlinear::find(methods.forward).options,
                     options.part(forward_options(methods.forward)));
  if (!wants_linear || (by_steps && !nonlinear::find(methods.forward).iterates)) return;
  if (!own.has("linear"))
    throw input_error("--linear {} goes with --nonlinear newton, not with {}; leave it out", linear,
                      methods.forward);
  own.set("linear", linear);
}

}  // namespace

train::Sharing read_sharing(const OptionValues& options) {
  train::Sharing sharing;
  sharing.depth_ranks = static_cast<int>(options.whole("depth-ranks"));
  sharing.data_ranks = static_cast<int>(options.whole("data-ranks"));
  const auto direction = [&](const char* name) {
    const std::string own = options.text(name);
    return own == "linear" ? options.text("linear") : own;
  };
  train::PassMethods& methods = sharing.methods;
  methods.settings.tolerance = {options.real("newton-rtol"), 0};
  if (options.given("max-iterations"))
    methods.settings.max_iterations = static_cast<int>(options.whole("max-iterations"));
  if (read_pipeline(options, methods)) return sharing;
  read_forward(options, direction("forward-linear"), methods);
  methods.backward = direction("backward-linear");
  const bool follows = methods.backward == "auto" && options.text("nonlinear") != "auto";
  if (follows)
    methods.backward = nonlinear::find(methods.forward).backward_for(methods.settings.own);
  return sharing;
}

TrainConfig read_train_config(const OptionValues& options) {
  refuse_contradictions(options);
  TrainConfig config;
  config.chain = read_chain_config(options);
  config.chain.input.clear();  // signals are read by other means
  config.sequences = read_sequences(options);
  config.binary = read_binary(options);
  require_positives(config.binary, config.chain.loss);
  config.samples = options.whole("samples");
  config.test_samples = options.whole("test-samples");
  config.epochs = options.whole("epochs");
  config.max_updates = options.whole("max-steps");
  config.epochs_per_evaluation = options.whole("evaluate-every");
  config.optimiser = read_optimiser(options);
  config.local = read_local_steps(options);
  config.delay = read_delay(options);
  config.shards_by_class = options.word("shards") == "by-class";
  config.schedule = read_schedule(options);
  config.augmentation = {options.whole("shift"), options.flag("flip"), config.chain.model.seed};
  config.sharing = read_sharing(options);
  config.trajectories_kept = options.whole("keep-trajectories");
  config.autoencoder = options.text("autoencoder");
  config.embedding = options.text("embedding");
  config.head = options.text("head");
  config.files = read_files_config(options);
  config.files.save_module = options.text("save-module");
  config.updates_to_save = options.whole("checkpoint-steps");
  return config;
}

TrainConfig train_config_from(const std::string& path, const std::string& configuration) {
  const std::string title = "[train]\n";
  if (configuration.rfind(title, 0) != 0)
    throw input_error("--restart {}: it was not written by deeppcr train", path);
  cli::Options options;
  add_train_options(options);
  OptionValues values = options.defaults();
  try {
    for (const cli::ConfigEntry& entry : cli::parse_config_text(path, configuration))
      if (options.has(entry.key)) values.set(entry.key, entry.value);
  } catch (const Error& error) {
    throw input_error("--restart {}: its configuration cannot be read: {}", path, error.what());
  }
  return read_train_config(values);
}

}  // namespace deeppcr::app
