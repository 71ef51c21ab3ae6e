#include <filesystem>
#include <numeric>

#include "app/chain.hpp"
#include "app/ends.hpp"
#include "app/examples.hpp"
#include "app/files.hpp"
#include "app/named_files.hpp"
#include "app/network.hpp"
#include "app/report.hpp"
#include "app/run_commands.hpp"
#include "app/train_diffusion.hpp"
#include "app/training.hpp"
#include "app/training_report.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/written_files.hpp"
#include "deeppcr/train/diffusion_training.hpp"

namespace deeppcr::app {
namespace {

/// Fills parameters and normalisation.
void read_network(const cli::Context& context, const parallel::ProcessGrid& grid,
                  const io::Problem& trained, const std::string& path,
                  train::ChainNetwork& network) {
  train::History history(network.stages());
  std::vector<EvaluationRow> evaluations;
  TrainingState state{{}, history, evaluations};
  for (train::ParameterGroup& group : network.parameters()) {
    group.array.name = "parameters/" + group.array.name;
    state.arrays.push_back(group.array);
  }
  for (train::StoredArray& array : network.state()) {
    array.name = "state/" + array.name;
    state.arrays.push_back(array);
  }
  TrainingFiles(context, grid, {}, trained).resume(path, state);
}

/// The label that counts after step l of a sample; 0 where the sample has no such step.
Index label_of(const train::Examples& examples, Index sample, Index l) {
  if (!examples.labels_each()) return examples.label(sample);
  return 0 <= l && l < examples.length(sample) ? examples.label(sample, l) : 0;
}

/// What the network says of each sample, and the class that it has where that is known.
void write_predictions(io::hdf5::File& file, const train::Predictions& said,
                       const train::Examples& examples, bool classes) {
  io::hdf5::Shape shape{said.samples};
  std::vector<std::string> axes{"sample"};
  if (said.steps > 1) {
    shape.push_back(said.steps);
    axes.emplace_back("step");
  }
  if (!classes) {
    shape.push_back(said.width);
    axes.emplace_back("number");
  }
  std::vector<Index> numbers;
  if (classes) {
    for (const Real value : said.values) numbers.push_back(static_cast<Index>(value));
    file.write<Index>("/predictions", shape, numbers.data(), {"the class it is taken for", axes});
    numbers.clear();
    for (Index i = 0; i < said.samples && examples.classes() > 0; ++i)
      for (Index l = 0; l < said.steps; ++l)
        numbers.push_back(label_of(examples, i, said.steps > 1 ? l : examples.length(i) - 1));
    if (examples.classes() > 0)
      file.write<Index>("/labels", shape, numbers.data(), {"the class it has", axes});
  } else {
    file.write<Real>("/predictions", shape, said.values.data(), {"predicted targets", axes});
  }
  if (!examples.has_lengths()) return;
  numbers.clear();
  for (Index i = 0; i < said.samples; ++i) numbers.push_back(examples.length(i));
  file.write<Index>("/lengths", {said.samples}, numbers.data(),
                    {"steps that a sample has; zeros stand behind them", {"sample"}});
}

/// Of two classes: what samples are ranked by, and what each threshold on it gives.
void write_roc(io::hdf5::File& file, const train::Evaluation& evaluation) {
  const train::RocCurve& roc = evaluation.roc;
  const auto samples = static_cast<Index>(evaluation.scores.size());
  if (samples == 0) return;
  file.write<Real>("/scores", {samples}, evaluation.scores.data(),
                   {"output of class 1 minus that of class 0", {"sample"}});
  const auto column = [&](const char* name, const std::vector<double>& values,
                          const char* content) {
    file.write<Real>(name, {static_cast<Index>(values.size())}, values.data(),
                     {content, {"threshold"}});
  };
  if (roc.empty()) return;
  column("/roc/threshold", roc.thresholds, "scores of so much or more count as positive");
  column("/roc/false_positive_rate", roc.false_positives, "part of the negative samples");
  column("/roc/true_positive_rate", roc.true_positives, "part of the positive samples");
  file.set_all("/roc", {{"area", roc.area}});
}

/// The samples that are scored.
std::string scored_file(const TrainConfig& config) {
  const SequenceConfig& files = config.sequences;
  if (!files.test_input.empty()) return files.test_input;
  return files.input.empty() ? config.chain.data : files.input;
}

train::Evaluation score_chain(const cli::Context& context, KnownNetwork known, TrainConfig& config,
                              const std::string& output) {
  look_at_model(context.comm, config.chain);
  look_at_ends(context.comm, config);
  adopt_ends(config, known);
  const io::Problem trained = config.chain.problem();
  const ExampleSets sets = load_test_examples(context.comm, config);
  config.sequences.steps_given = false;  // a test set may be shorter than the training
  fit_chain(sets, config);
  const train::Examples& test = *sets.test;
  if (output.empty() && !has_truth(test, config.chain.loss))
    throw input_error(
        "{}: it has no labels or targets that --loss {} compares with, and so no score; add them, "
        "or use --output FILE for what the network says of it",
        scored_file(config), config.chain.loss.name);
  const train::Sharing sharing = choose_sharing(config, context.comm.size());
  const parallel::ProcessGrid grid(context.comm, sharing.depth_ranks, sharing.data_ranks);
  const int outputs = outputs_of(known, config, test);
  check_examples(known, outputs, config, "test", test);
  check_network_size(grid, config, sharing, test, outputs);
  sets.distribute(grid);
  train::ChainNetwork network = make_network(grid, config, sharing, {}, test, outputs);
  read_network(context, grid, trained, known.file, network);
  if (output.empty()) return network.evaluate(test);
  models::Loss& loss = *network.parts().loss;
  if (loss.head() == nullptr && loss.classes() == 0)
    throw input_error(
        "--output {}: --loss {} has no outputs that could be written, those with a head have, such "
        "as cross-entropy; leave it out",
        output, config.chain.loss.name);
  train::Predictions said;
  train::Evaluation evaluation = network.evaluate(test, &said);
  io::write_file(context.comm, output, file_format::kResults, provenance(context),
                 [&](io::hdf5::File& file) {
                   write_predictions(file, said, test, evaluation.classes > 0);
                   write_roc(file, evaluation);
                 });
  return evaluation;
}

/// Bands of noise levels that a denoiser is scored in.
constexpr int kBands = 5;

/// Of a denoiser fills `bands` too.
train::Evaluation score_diffusion(const cli::Context& context, const std::string& checkpoint,
                                  const TrainConfig& config, std::vector<train::NoiseBand>& bands) {
  const bool denoises = config.chain.model.model == "denoiser";
  const std::string path = denoises ? config.autoencoder : checkpoint;
  const models::Autoencoder autoencoder = read_autoencoder(context.comm, path);
  const parallel::ProcessGrid grid(context.comm, 1, context.comm.size());
  const train::Images images = load_images(grid, config, false);
  require_pixels(autoencoder, path, images, config.chain.data);
  train::Evaluation evaluation;
  evaluation.samples = images.count();
  if (!denoises) {
    evaluation.loss = train::reconstruction_error(context.comm, autoencoder, images);
    return evaluation;
  }
  const models::Denoiser denoiser = read_denoiser(context.comm, checkpoint);
  const int classes = denoiser.shape().classes;
  if (classes > 0) check_examples({checkpoint, 0, classes}, classes, config, "test", images);
  const train::LabelledLatents latents = train::encode_all(autoencoder, images);
  evaluation.loss = train::denoising_errors(context.comm, denoiser, latents, 1).front().loss;
  bands = train::denoising_errors(context.comm, denoiser, latents, kBands);
  return evaluation;
}

/// What the network adds to the best linear guess, from little noise to much.
void add_bands(const std::vector<train::NoiseBand>& bands, Report& report) {
  if (bands.empty()) return;
  report.text("  times          loss  of the best linear denoiser");
  for (const train::NoiseBand& band : bands) {
    report.json["noise_bands"].push_back({{"first_time", band.first},
                                          {"last_time", band.last},
                                          {"loss", band.loss},
                                          {"linear_loss", band.linear_loss}});
    report.text(fmt::format("  {:<11}  {:.4f}  {:.4f}",
                            fmt::format("{} .. {}", band.first, band.last), band.loss,
                            band.linear_loss));
  }
}

/// One row a class: how many there are, how many were found, and what they were taken for.
void add_classes(const train::Evaluation& evaluation, Report& report) {
  const int classes = evaluation.classes;
  report.text(fmt::format("  class  samples  recall   taken for 0 .. {}", classes - 1));
  for (int c = 0; c < classes; ++c) {
    const auto row = evaluation.confusion.begin() + c * classes;
    const Index samples = std::accumulate(row, row + classes, Index{0});
    const double found = static_cast<double>(row[c]) / static_cast<double>(samples);
    std::string numbers;
    for (int k = 0; k < classes; ++k) numbers += fmt::format(" {:5}", row[k]);
    report.text(fmt::format("  {:5}  {:7}  {:>6}  {}", c, samples,
                            samples > 0 ? fmt::format("{:.1f} %", 100 * found) : "-", numbers));
  }
}

/// Other samples than those of the checkpoint's run.
void choose_samples(const OptionValues& options, TrainConfig& config) {
  SequenceConfig& sequences = config.sequences;
  const std::string data = options.text("data"), input = options.text("input");
  const Index samples = options.whole("test-samples"), frame = options.whole("frame");
  if (!data.empty() && !input.empty())
    throw input_error(
        "--data and --input exclude each other: both give the samples; leave one out");
  if (!data.empty()) {
    config.chain.data = data;
    sequences.input.clear();
  }
  if (!input.empty()) {
    sequences.input = input;
    sequences.test_input.clear();
    sequences.test_share = 0;
  }
  if (samples > 0 || !input.empty()) config.test_samples = samples;
  config.samples = 0;
  if (frame > 0 && sequences.input.empty())
    throw input_error("--frame {}: what is scored is no recording; leave it out", frame);
  sequences.refuse_frame = frame > 0 || input.empty();  // that of the checkpoint's run is for WAV
  if (frame > 0) sequences.frame = frame;
  if (!input.empty()) sequences.steps_given = false;  // cells go on for as long as there are inputs
}

/// The checkpoint and the samples that it names are read, though no option says so.
void check_output(const cli::Context& context, const std::string& output,
                  const std::string& checkpoint, const TrainConfig& config) {
  if (output.empty()) return;
  std::vector<io::ReadFile> read{{"restart", checkpoint},
                                 {"input", config.sequences.input},
                                 {"test-input", config.sequences.test_input},
                                 {"autoencoder", config.autoencoder},
                                 {"embedding", config.embedding},
                                 {"head", config.head}};
  for (const std::string& file : image_files(config.chain.data)) read.push_back({"data", file});
  parallel::agree(context.comm, [&] {
    if (context.comm.is_root())
      io::check_written_files({{"output", output, file_format::kResults}}, read, true);
  });
}

/// The checkpoint, or the newest intact one of a folder, by the name that runs give it.
std::string checkpoint_at(const cli::Context& context, const std::string& path) {
  if (path.empty()) throw input_error("evaluate needs --restart FILE, a checkpoint of train");
  if (!std::filesystem::is_directory(path)) return path;
  const std::string name = default_checkpoint(path + "/");
  if (const auto found = io::find_newest_intact(context.comm, name)) return *found;
  throw input_error("--restart {}: there is no {} in it; name the file", path, name);
}

struct Scores {
  train::Evaluation evaluation;
  std::vector<train::NoiseBand> bands;  ///< of a denoiser
  double seconds = 0;
};

int print(const cli::Context& context, const CheckpointOrigin& origin, const TrainConfig& config,
          const Scores& scores) {
  const train::Evaluation& evaluation = scores.evaluation;
  Report report(context, "evaluate", nonlinear::Status::converged);
  report.json["checkpoint"] = origin.path;
  report.json["updates"] = origin.updates;
  const std::string data = scored_file(config);
  report.json["data"] = data;
  if (evaluation.scored) report.json["loss"] = evaluation.loss;
  if (evaluation.scored && evaluation.classes > 0) report.json["accuracy"] = evaluation.accuracy();
  if (!evaluation.roc.empty()) report.json["auc"] = evaluation.roc.area;
  report.line("checkpoint", "{} after {} updates", origin.path, origin.updates);
  report.add_model(config.chain);
  report.line("data", "{}", data);
  add_evaluation(evaluation, report);
  report.json["seconds"]["total"] = scores.seconds;
  report.line("time", "{:.3g} s", scores.seconds);
  if (evaluation.scored && !evaluation.confusion.empty()) add_classes(evaluation, report);
  add_bands(scores.bands, report);
  return report.print("");
}

}  // namespace

void add_evaluate_options(cli::Options& options) {
  options.add(
      "Evaluation",
      {cli::read_file("restart", "checkpoint of deeppcr train, or the folder of its newest one"),
       cli::read_file("data", "images, by default those of the checkpoint's run", "NAME"),
       cli::read_file("input",
                      "sequences to score, all of a file; by default the test set of the "
                      "checkpoint's run"),
       whole_option("frame", 0, 0, 1'000'000'000'000,
                    "of WAV: samples of the recording in one step; 0: as in the checkpoint's run"),
       cli::written_file("output", file_format::kResults,
                         "write what the network says of each sample, HDF5"),
       cli::force_option(),
       cli::read_file("autoencoder",
                      "of a denoiser, where it is not the file that it was trained with"),
       whole_option("test-samples", 0, 0, 1'000'000'000'000,
                    "test samples; 0: as many as in the checkpoint's run")});
  add_grid_options(options);
}

int run_evaluate(const OptionValues& options, const cli::Context& context) {
  const std::string path = checkpoint_at(context, options.text("restart"));
  const Stopwatch watch;
  const CheckpointOrigin origin = checkpoint_origin(context.comm, path);
  TrainConfig config = train_config_from(origin.path, origin.configuration);
  config.sharing = read_sharing(options);
  config.chain.weights.clear();
  config.trajectories_kept = 0;
  choose_samples(options, config);
  const std::string& model = config.chain.model.model;
  if (const std::string file = options.text("autoencoder"); !file.empty()) {
    if (model != "denoiser")
      throw input_error("--autoencoder {}: {} is no denoiser; leave it out", file, path);
    config.autoencoder = file;
  }
  const std::string output = options.text("output");
  check_output(context, output, origin.path, config);
  if (!output.empty() && is_diffusion_model(model))
    throw input_error("--output {}: {} has no network of classes or targets; leave it out", output,
                      path);
  std::vector<train::NoiseBand> bands;
  const train::Evaluation evaluation =
      is_diffusion_model(model)
          ? score_diffusion(context, origin.path, config, bands)
          : score_chain(context, {origin.path, origin.features, origin.outputs}, config, output);
  const double seconds = context.comm.max(watch.seconds());
  return print(context, origin, config, {evaluation, bands, seconds});
}

}  // namespace deeppcr::app
