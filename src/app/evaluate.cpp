#include <filesystem>
#include <numeric>

#include "app/files.hpp"
#include "app/network.hpp"
#include "app/report.hpp"
#include "app/run_commands.hpp"
#include "app/train_diffusion.hpp"
#include "app/training.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/train/diffusion_training.hpp"

namespace deeppcr::app {
namespace {

/// Fills parameters and normalisation.
void read_network(const cli::Context& context, const parallel::ProcessGrid& grid,
                  const TrainConfig& config, const std::string& path,
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
  TrainingFiles(context, grid, {}, config.chain.problem()).resume(path, state);
}

train::Evaluation score_chain(const cli::Context& context, const KnownNetwork& known,
                              const TrainConfig& config) {
  const train::Sharing sharing = choose_sharing(config, context.comm.size());
  const parallel::ProcessGrid grid(context.comm, sharing.depth_ranks, sharing.data_ranks);
  const train::Images images = load_images(grid, config, false);
  const int classes = classes_of(known, images);
  check_images(known, classes, config, "test", images);
  check_network_size(grid, config, sharing, images);
  train::ChainNetwork network = make_network(grid, config, sharing, {}, images, classes);
  read_network(context, grid, config, known.file, network);
  return network.evaluate(images);
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
  if (classes > 0) check_images({checkpoint, 0, classes}, classes, config, "test", images);
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

/// The checkpoint, or the newest intact one of a folder, by the name that runs give it.
std::string checkpoint_at(const cli::Context& context, const std::string& path) {
  if (path.empty()) throw input_error("evaluate needs --restart FILE, a checkpoint of train");
  if (!std::filesystem::is_directory(path)) return path;
  const std::string name = default_checkpoint(path + "/");
  if (const auto found = io::find_newest_intact(context.comm, name)) return *found;
  throw input_error("--restart {}: there is no {} in it; name the file", path, name);
}

}  // namespace

void add_evaluate_options(cli::Options& options) {
  options.add(
      "Evaluation",
      {cli::read_file("restart", "checkpoint of deeppcr train, or the folder of its newest one"),
       cli::read_file("data", "images, by default those of the checkpoint's run", "NAME"),
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
  if (const Index samples = options.whole("test-samples"); samples > 0)
    config.test_samples = samples;
  if (const std::string data = options.text("data"); !data.empty()) config.chain.data = data;
  const std::string& model = config.chain.model.model;
  if (const std::string file = options.text("autoencoder"); !file.empty()) {
    if (model != "denoiser")
      throw input_error("--autoencoder {}: {} is no denoiser; leave it out", file, path);
    config.autoencoder = file;
  }
  std::vector<train::NoiseBand> bands;
  const train::Evaluation evaluation =
      is_diffusion_model(model)
          ? score_diffusion(context, origin.path, config, bands)
          : score_chain(context, {origin.path, origin.features, origin.classes}, config);
  Report report(context, "evaluate", nonlinear::Status::converged);
  report.json["checkpoint"] = origin.path;
  report.json["updates"] = origin.updates;
  report.json["data"] = config.chain.data;
  report.json["loss"] = evaluation.loss;
  if (evaluation.classes > 0) report.json["accuracy"] = evaluation.accuracy();
  report.line("checkpoint", "{} after {} updates", origin.path, origin.updates);
  report.add_model(config.chain);
  report.line("data", "{}", config.chain.data);
  add_evaluation(evaluation, report);
  const double seconds = context.comm.max(watch.seconds());
  report.json["seconds"]["total"] = seconds;
  report.line("time", "{:.3g} s", seconds);
  if (evaluation.classes > 0) add_classes(evaluation, report);
  add_bands(bands, report);
  return report.print("");
}

}  // namespace deeppcr::app
