#include "deeppcr/app/network.hpp"
#include "deeppcr/app/option_values.hpp"
#include "deeppcr/app/run_commands.hpp"
#include "deeppcr/app/storage.hpp"
#include "deeppcr/app/train_report.hpp"
#include "deeppcr/app/training_files.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

/// Fills parameters and normalisation; returns the updates that the checkpoint has behind it.
Index read_network(const Context& context, const parallel::ProcessGrid& grid,
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
  return state.updates;
}

}  // namespace

void add_evaluate_options(po::options_description& options) {
  po::options_description group("Evaluation", kHelpColumns);
  auto add = group.add_options();
  add("restart", text("FILE"), "checkpoint of deeppcr train, or the folder of its newest one");
  add("data", text("NAME"), "images, by default those of the checkpoint's run");
  add("test-samples", whole_number("test-samples", 0, 0, 1'000'000'000'000),
      "test samples; 0: as many as in the checkpoint's run");
  options.add(group);
  add_grid_options(options);
}

int run_evaluate(const po::variables_map& options, const Context& context) {
  const std::string path = options["restart"].as<std::string>();
  if (path.empty()) throw input_error("evaluate needs --restart FILE, a checkpoint of train");
  const Stopwatch watch;
  EvaluationReport report;
  const storage::CheckpointOrigin origin = storage::checkpoint_origin(context.comm, path);
  report.checkpoint = origin.path;
  report.config = train_config_from(origin.path, origin.configuration);
  TrainConfig& config = report.config;
  config.sharing = read_sharing(options);
  config.chain.weights.clear();
  config.trajectories_kept = 0;
  const Index samples = options["test-samples"].as<Index>();
  if (samples > 0) config.test_samples = samples;
  const std::string data = options["data"].as<std::string>();
  if (!data.empty()) config.chain.data = data;
  report.ranks = context.comm.size();
  const Sharing sharing = choose_sharing(config, report.ranks);
  const parallel::ProcessGrid grid(context.comm, sharing.depth_ranks, sharing.data_ranks);
  const train::Images images = load_images(grid, config, false);
  check_network_size(grid, config, images);
  train::ChainNetwork network = make_network(grid, config, sharing, {}, images);
  report.updates = read_network(context, grid, config, origin.path, network);
  report.evaluation = network.evaluate(images);
  report.seconds = context.comm.max(watch.seconds());
  return finish(report, context);
}

}  // namespace deeppcr::app
