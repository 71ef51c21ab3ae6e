#include "app/chain.hpp"
#include "app/network.hpp"
#include "app/option_values.hpp"
#include "app/run_commands.hpp"
#include "app/run_setup.hpp"
#include "app/storage.hpp"
#include "app/train_diffusion.hpp"
#include "app/train_report.hpp"
#include "app/training_plan.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/core/profile.hpp"

namespace deeppcr::app {
namespace {

TrainConfig checked_config(const boost::program_options::variables_map& options,
                           const Context& context) {
  TrainConfig config = read_train_config(options);
  take_sizes_from_files(context.comm, config.chain);
  check_save_weights(config.chain.model, config.files.save_weights);
  if (!config.files.restart.empty() && config.files.checkpoint.empty() &&
      config.files.save_weights.empty())
    log::warn("--restart {} without --checkpoint: nothing keeps what this run trains",
              config.files.restart);
  return config;
}

/// The head comes to the rank that writes; rows that several data ranks have are written once.
void save_weights(const parallel::ProcessGrid& grid, train::ChainNetwork& network,
                  const TrainConfig& config, const train::Sharing& sharing,
                  const Context& context) {
  train::ChainNetwork::Parts& parts = network.parts();
  const int owner = network_layout(config, sharing).owner(config.chain.model.steps - 1);
  models::ClassifierHead* head = parts.loss->head();
  if (head != nullptr)
    grid.depth().broadcast(head->parameters().data(), head->parameters().size(), owner);
  StepSet steps = parts.sequence->local_steps();
  View<const Real, 2> parameters = storage::layer_rows(*parts.sequence);
  if (grid.data().rank() > 0) {
    steps = StepSet();
    parameters = {parameters.data(), {0, parameters.extent(1)}};
  }
  storage::save_weights(
      context, config.files.save_weights,
      {config.chain.model, steps, parameters, parts.embedding ? &*parts.embedding : nullptr, head});
}

}  // namespace

int run_train(const boost::program_options::variables_map& options, const Context& context) {
  if (is_diffusion_model(text_of(options, "model"))) return train_diffusion(options, context);
  TrainReport report;
  report.config = checked_config(options, context);
  const TrainConfig& config = report.config;
  report.ranks = context.comm.size();
  report.sharing = choose_sharing(config, report.ranks);
  const train::Sharing& sharing = report.sharing;
  const parallel::ProcessGrid grid(context.comm, sharing.depth_ranks, sharing.data_ranks);
  const ImageSets sets = load_image_sets(grid, config);
  const train::Images &images = sets.training, &test_images = sets.test;
  const KnownNetwork known = known_network(context.comm, config);
  const int classes = classes_of(known, images);
  check_images(known, classes, config, "training", images);
  check_images(known, classes, config, "test", test_images);
  warn_of_new_labels(config, sets);
  check_network_size(grid, config, sharing, images);
  train::Normalisation normalisation = images.normalisation();
  train::ChainNetwork network = make_network(grid, config, sharing, normalisation, images, classes);
  train::Trainer trainer(grid, network, trainer_options(config, images));
  TrainingPlan plan =
      make_plan(config, trainer.steps_per_epoch(), network_layout(config, sharing).first_steps());
  plan.evaluate = [&] { return network.evaluate(test_images); };
  log::info("{} on {} depth x {} data ranks", method_of(sharing.methods), sharing.depth_ranks,
            sharing.data_ranks);
  if (!sharing.advice.empty()) log::info("{}", sharing.advice);
  report.result = run_training(context, grid, network, trainer, plan);
  if (!config.files.save_weights.empty()) save_weights(grid, network, config, sharing, context);
  report.peak_bytes_per_rank = context.comm.max(static_cast<Index>(peak_resident_bytes()));
  return finish(report, context);
}

}  // namespace deeppcr::app
