#include "app/network.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "app/chain.hpp"
#include "app/files.hpp"
#include "app/training_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

train::Images load_images(const parallel::ProcessGrid& grid, const TrainConfig& config,
                          bool training_set) {
  const Index samples = training_set ? config.samples : config.test_samples;
  train::Images images;
  parallel::agree(grid.world(), [&] {
    if (!grid.world().is_root()) return;
    if (config.chain.data == "random") {
      const Index usual = training_set ? 4096 : 1024;
      images = train::Images::random(samples > 0 ? samples : usual, config.chain.model.seed,
                                     training_set ? 0 : 1);
      return;
    }
    io::ImageSelection selection{training_set, std::nullopt, 0};
    if (samples > 0) selection.samples = samples;
    io::ImageSet read = io::read_image_set(config.chain.data, selection);
    images = {read.height, read.width, std::move(read.pixels), std::move(read.labels)};
  });
  images.broadcast_labels(grid.world());
  if (grid.depth().rank() == 0) images.broadcast_pixels(grid.data());
  return images;
}

KnownNetwork known_network(const parallel::Communicator& comm, const TrainConfig& config) {
  const std::string& weights = config.chain.weights;
  if (!weights.empty()) return {weights, config.chain.stored.features, config.chain.stored.classes};
  const auto path = config.files.restart_path(comm);
  if (!path) return {};
  const CheckpointOrigin origin = checkpoint_origin(comm, *path);
  return {origin.path, origin.features, origin.classes};
}

ImageSets load_image_sets(const parallel::ProcessGrid& grid, const TrainConfig& config) {
  ImageSets sets{load_images(grid, config, true), load_images(grid, config, false)};
  const train::Images &training = sets.training, &test = sets.test;
  if (training.height() != test.height() || training.width() != test.width()) {
    throw input_error(
        "--data {}: its test images (t10k) have {} x {} pixels, its training images (train) {} x "
        "{}; both must have the same size",
        config.chain.data, test.height(), test.width(), training.height(), training.width());
  }
  const Index side = std::min(training.height(), training.width());
  if (config.augmentation.shift >= side) {
    throw input_error(
        "--shift {}: the images of {} have {} x {} pixels; {} at most leave some of them",
        config.augmentation.shift, config.chain.data, training.height(), training.width(),
        side - 1);
  }
  return sets;
}

int classes_of(const KnownNetwork& network, const train::Images& training) {
  return network.classes > 0 ? static_cast<int>(network.classes) : training.classes();
}

void check_images(const KnownNetwork& network, int classes, const TrainConfig& config,
                  const char* set, const train::Images& images) {
  if (network.features > 0 && network.features != images.features()) {
    throw input_error(
        "--data {}: its images have {} x {} = {} pixels, but the network of {} takes {}",
        config.chain.data, images.height(), images.width(), images.features(), network.file,
        network.features);
  }
  int largest = 0;
  for (Index i = 0; i < images.count(); ++i) {
    const int label = images.label(i);
    largest = std::max(largest, label);
    if (label < classes) continue;
    throw input_error(
        "--data {}: {} image {} has the label {}, but there are {} classes, 0 to {}, {}",
        config.chain.data, set, i, label, classes, classes - 1,
        network.classes > 0 ? "in " + network.file : "by the labels of the training images");
  }
  check_components(config.chain, largest);
}

void warn_of_new_labels(const TrainConfig& config, const ImageSets& images) {
  std::set<int> trained;
  for (Index i = 0; i < images.training.count(); ++i) trained.insert(images.training.label(i));
  Index unknown = 0;
  int example = 0;
  for (Index i = 0; i < images.test.count(); ++i) {
    if (trained.count(images.test.label(i)) > 0) continue;
    ++unknown;
    example = images.test.label(i);
  }
  if (unknown == 0) return;
  log::warn("{}: {} of {} test images have labels that no training image has, such as {}",
            config.chain.data, unknown, images.test.count(), example);
}

train::TrainingProblem training_problem(const TrainConfig& config) {
  const models::ModelOptions& model = config.chain.model;
  const models::StepCost cost = models::step_cost(model);
  const bool pipelines = config.trajectories_kept == 0;  // which only iterations start from
  return {model.steps,
          config.chain.batch,
          config.chain.state_width(),
          cost.layers,
          sizeof(Real) * cost.parameters,
          pipelines};
}

train::Sharing choose_sharing(const TrainConfig& config, int ranks) {
  return train::choose_sharing(training_problem(config), config.sharing, ranks);
}

/// Part of a rank's batch whose states it holds at once.
double held_share(const train::PassMethods& methods, Index stages, Index batch,
                  double weight_bytes) {
  if (!methods.pipeline || batch == 0) return 1;
  const train::TrainingPipeline& pipeline = *methods.pipeline;
  using Schedule = plan::PipelineSchedule;
  Index all = pipeline.micro_batches;
  if (all == 0)
    all = plan::choose_micro_batches(pipeline.schedule,
                                     {static_cast<int>(stages), batch, weight_bytes});
  Index held = pipeline.schedule == Schedule::gpipe ? all : std::min(stages, all);
  if (pipeline.recompute) held = 1;
  return static_cast<double>(held) / static_cast<double>(all);
}

void check_network_size(const parallel::ProcessGrid& grid, const TrainConfig& config,
                        const train::Sharing& sharing, const train::Images& images) {
  const models::ModelOptions& model = config.chain.model;
  const Index D = grid.depth().size(), R = grid.data().size();
  const Index batch = (config.chain.batch + R - 1) / R;
  const int width = config.chain.state_width();
  sequence::check_index_size(model.steps, batch, width);
  const auto n = static_cast<double>(width), B = static_cast<double>(batch);
  const double steps = static_cast<double>((model.steps + D - 1) / D + 1);
  // states: trajectory, starts, slopes, gradients; parameters: values, gradients, optimiser's
  // memory and copies of it
  constexpr double kStateArrays = 6, kParameterArrays = 8;
  const models::StepCost step = models::step_cost(model);
  const double held = held_share(sharing.methods, D, batch, sizeof(Real) * steps * step.parameters);
  const double states = kStateArrays * steps * B * n * held;
  const double parameters = kParameterArrays * (steps * step.parameters + step.shared_parameters);
  const nonlinear::Problem problem = sharing.problem(training_problem(config));
  const auto forward = sharing.forward();
  const double solver =
      forward->memory(problem) +
      sharing.methods.make_backward()->cost({forward->layout(problem), batch, width}).memory;
  const double pixels = static_cast<double>(images.features()) *
                        (static_cast<double>(images.count()) + sizeof(Real) * (B + 8 * n));
  const double kept =
      static_cast<double>(std::min(config.trajectories_kept, images.count())) * steps * (n + 1);
  parallel::check_memory(grid.world(),
                         sizeof(Real) * (states + parameters + kept) + solver + pixels);
}

parallel::BlockLayout network_layout(const TrainConfig& config, const train::Sharing& sharing) {
  const auto layout = sharing.forward()->layout(sharing.problem(training_problem(config)));
  if (layout.is_replicated() && layout.num_ranks() > 1)
    throw input_error(
        "--pipeline-layout samples: training splits samples over --data-ranks; use {} of them",
        layout.num_ranks());
  return layout;
}

train::ChainNetwork make_network(const parallel::ProcessGrid& grid, const TrainConfig& config,
                                 const train::Sharing& sharing,
                                 const train::Normalisation& normalisation,
                                 const train::Images& images, int classes) {
  const models::ModelOptions& model = config.chain.model;
  train::ChainNetwork::Options options;
  options.layout = network_layout(config, sharing);
  options.batch = config.chain.batch;
  options.methods = sharing.methods;
  options.normalisation = normalisation;
  options.augmentation = config.augmentation;
  options.trajectories_kept = config.trajectories_kept;
  train::ChainNetwork::Parts parts{models::make(model, options.layout.steps(grid.depth().rank())),
                                   std::nullopt, nullptr};
  parts.loss =
      models::make(config.chain.loss, models::sizes_for(*parts.sequence, classes, model.seed));
  if (parts.sequence->input_width() == 0)
    parts.embedding.emplace(models::LayerRole::embedding, static_cast<int>(images.features()),
                            model.width, model.seed);
  const std::string& file = config.chain.weights;
  if (!file.empty()) {
    const io::WeightsShape& stored = config.chain.stored;
    read_weights(grid.world(), config.chain, *parts.sequence);
    if (stored.features > 0 && parts.embedding)
      io::read_dense_layer(grid.world(), file, "/embedding", parts.embedding->rows());
    models::DenseLayer* head = parts.loss->head();
    if (stored.classes > 0 && head != nullptr)
      io::read_dense_layer(grid.world(), file, "/head", head->rows());
  }
  return {grid, std::move(parts), options, images};
}

}  // namespace deeppcr::app
