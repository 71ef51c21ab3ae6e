#include "deeppcr/app/network.hpp"

#include <algorithm>

#include "deeppcr/app/memory.hpp"
#include "deeppcr/app/storage.hpp"
#include "deeppcr/app/training_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::app {
namespace {

constexpr Index kRandomTraining = 4096, kRandomTest = 1024;

train::Images random_images(const TrainConfig& config, bool training_set) {
  const Index wanted = training_set ? config.samples : config.test_samples;
  const Index usual = training_set ? kRandomTraining : kRandomTest;
  return train::Images::random(wanted > 0 ? wanted : usual, config.chain.model.seed,
                               training_set ? 0 : 1);
}

}  // namespace

train::Images load_images(const parallel::ProcessGrid& grid, const TrainConfig& config,
                          bool training_set) {
  train::Images images;
  if (config.chain.data == "random") {
    if (grid.world().is_root()) images = random_images(config, training_set);
  } else {
    images = storage::read_image_set(grid.world(), config.chain.data, training_set,
                                     training_set ? config.samples : config.test_samples);
  }
  images.broadcast_labels(grid.world());
  if (grid.depth().rank() == 0) images.broadcast_pixels(grid.data());
  return images;
}

void check_network_size(const parallel::ProcessGrid& grid, const TrainConfig& config,
                        const Sharing& sharing, const train::Images& images) {
  const models::ModelOptions& model = config.chain.model;
  const Index D = grid.depth().size(), R = grid.data().size();
  const Index batch = (config.chain.batch + R - 1) / R;
  sequence::check_index_size(model.steps, batch, model.width);
  const auto n = static_cast<double>(model.width), B = static_cast<double>(batch);
  const double steps = static_cast<double>((model.steps + D - 1) / D + 1);
  // states: trajectory, starts, slopes, gradients, what Newton adds; parameters: values, gradients,
  // optimiser's memory and copies of it
  constexpr double kStateArrays = 12, kParameterArrays = 8;
  const double states = kStateArrays * steps * B * n;
  const double parameters = kParameterArrays * steps * models::step_cost(model).parameters;
  const linear::Problem problem{network_layout(config, sharing), batch, model.width};
  double linear = 0;
  for (const std::string& method : {sharing.solver.forward, sharing.solver.backward})
    linear = std::max(linear, linear::find(method).make()->memory(problem));
  const double pixels = static_cast<double>(images.features()) *
                        (static_cast<double>(images.count()) + sizeof(Real) * (B + 8 * n));
  const double kept =
      static_cast<double>(std::min(config.trajectories_kept, images.count())) * steps * (n + 1);
  check_memory(grid.world(), sizeof(Real) * (states + parameters + kept) + linear + pixels);
}

parallel::BlockLayout network_layout(const TrainConfig& config, const Sharing& sharing) {
  const models::ModelOptions& model = config.chain.model;
  return linear::find(sharing.solver.forward)
      .layout(model.steps, sharing.depth_ranks, model.width, linear::Passes::forward_and_backward);
}

train::ChainNetwork make_network(const parallel::ProcessGrid& grid, const TrainConfig& config,
                                 const Sharing& sharing, const train::Normalisation& normalisation,
                                 const train::Images& images) {
  const models::ModelOptions& model = config.chain.model;
  train::ChainNetwork::Options options;
  options.layout = network_layout(config, sharing);
  options.batch = config.chain.batch;
  options.solver = sharing.solver;
  options.normalisation = normalisation;
  options.augmentation = config.augmentation;
  options.trajectories_kept = config.trajectories_kept;
  train::ChainNetwork::Parts parts{
      models::make(model, options.layout.steps(grid.depth().rank())),
      models::Embedding(static_cast<int>(images.features()), model.width, model.seed),
      models::ClassifierHead(model.width, images.classes(), model.seed)};
  const std::string& file = config.chain.weights;
  if (!file.empty()) {
    const storage::WeightsSizes sizes = storage::weights_sizes(grid.world(), file);
    storage::read_weights(grid.world(), file, *parts.sequence);
    if (sizes.features > 0) storage::read_layer(grid.world(), file, "/embedding", parts.embedding);
    if (sizes.classes > 0) storage::read_layer(grid.world(), file, "/head", parts.head);
  }
  return {grid, std::move(parts), options, images};
}

}  // namespace deeppcr::app
