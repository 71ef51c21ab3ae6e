#include "app/diffusion_files.hpp"
#include "app/network.hpp"
#include "app/option_values.hpp"
#include "app/run_commands.hpp"
#include "app/storage.hpp"
#include "app/train_diffusion.hpp"
#include "app/train_report.hpp"
#include "app/training_files.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

/// Fills parameters and normalisation.
void read_network(const Context& context, const parallel::ProcessGrid& grid,
                  const TrainConfig& config, const std::string& path,
                  train::ChainNetwork& network) {
  const models::ModelOptions& model = config.chain.model;
  const auto files = storage::training_files(
      context, grid, {},
      {model.model, model.steps, model.width, config.chain.batch, static_cast<Index>(model.seed)});
  train::History history(network.stages());
  std::vector<storage::EvaluationRow> evaluations;
  storage::TrainingState state{{}, history, evaluations, 0, 0};
  for (train::ParameterGroup& group : network.parameters()) {
    group.array.name = "parameters/" + group.array.name;
    state.arrays.push_back(group.array);
  }
  for (train::StoredArray& array : network.state()) {
    array.name = "state/" + array.name;
    state.arrays.push_back(array);
  }
  files->resume(path, state);
}

void score_chain(const Context& context, const KnownNetwork& known, EvaluationReport& report) {
  const TrainConfig& config = report.config;
  const train::Sharing sharing = choose_sharing(config, report.ranks);
  const parallel::ProcessGrid grid(context.comm, sharing.depth_ranks, sharing.data_ranks);
  const train::Images images = load_images(grid, config, false);
  const int classes = classes_of(known, images);
  check_images(known, classes, config, "test", images);
  check_network_size(grid, config, sharing, images);
  train::ChainNetwork network = make_network(grid, config, sharing, {}, images, classes);
  read_network(context, grid, config, report.checkpoint, network);
  report.evaluation = network.evaluate(images);
}

/// Bands of noise levels that a denoiser is scored in.
constexpr int kBands = 5;

void score_diffusion(const Context& context, EvaluationReport& report) {
  const TrainConfig& config = report.config;
  const bool denoises = config.chain.model.model == "denoiser";
  const std::string path = denoises ? config.autoencoder : report.checkpoint;
  const models::Autoencoder autoencoder = storage::read_autoencoder(context.comm, path);
  const parallel::ProcessGrid grid(context.comm, 1, report.ranks);
  const train::Images images = load_images(grid, config, false);
  require_pixels(autoencoder, path, images, config.chain.data);
  train::Evaluation& evaluation = report.evaluation;
  evaluation.samples = images.count();
  if (!denoises) {
    evaluation.loss = train::reconstruction_error(context.comm, autoencoder, images);
    return;
  }
  const models::Denoiser denoiser = storage::read_denoiser(context.comm, report.checkpoint);
  const int classes = denoiser.shape().classes;
  if (classes > 0) check_images({report.checkpoint, 0, classes}, classes, config, "test", images);
  const train::LabelledLatents latents = train::encode_all(autoencoder, images);
  evaluation.loss = train::denoising_errors(context.comm, denoiser, latents, 1).front().loss;
  report.bands = train::denoising_errors(context.comm, denoiser, latents, kBands);
}

}  // namespace

void add_evaluate_options(po::options_description& options) {
  po::options_description group("Evaluation", kHelpColumns);
  auto add = group.add_options();
  add("restart", read_file(), "checkpoint of deeppcr train");
  add("data", read_file("NAME"), "images, by default those of the checkpoint's run");
  add("autoencoder", read_file(),
      "of a denoiser, where it is not the file that it was trained with");
  add("test-samples", whole_number("test-samples", 0, 0, 1'000'000'000'000),
      "test samples; 0: as many as in the checkpoint's run");
  options.add(group);
  add_grid_options(options);
}

int run_evaluate(const po::variables_map& options, const Context& context) {
  const std::string path = text_of(options, "restart");
  if (path.empty()) throw input_error("evaluate needs --restart FILE, a checkpoint of train");
  const Stopwatch watch;
  EvaluationReport report;
  const storage::CheckpointOrigin origin = storage::checkpoint_origin(context.comm, path);
  report.checkpoint = origin.path;
  report.updates = origin.updates;
  report.ranks = context.comm.size();
  report.config = train_config_from(origin.path, origin.configuration);
  TrainConfig& config = report.config;
  config.sharing = read_sharing(options);
  config.chain.weights.clear();
  if (const Index samples = whole_of(options, "test-samples"); samples > 0)
    config.test_samples = samples;
  if (const std::string data = text_of(options, "data"); !data.empty()) config.chain.data = data;
  const std::string& model = config.chain.model.model;
  if (const std::string file = text_of(options, "autoencoder"); !file.empty()) {
    if (model != "denoiser")
      throw input_error("--autoencoder {}: {} is no denoiser; leave it out", file, path);
    config.autoencoder = file;
  }
  is_diffusion_model(model)
      ? score_diffusion(context, report)
      : score_chain(context, {origin.path, origin.features, origin.classes}, report);
  report.seconds = context.comm.max(watch.seconds());
  return finish(report, context);
}

}  // namespace deeppcr::app
