#include "app/network.hpp"

#include <algorithm>
#include <memory>

#include "app/chain.hpp"
#include "app/ends.hpp"
#include "app/examples.hpp"
#include "app/files.hpp"
#include "app/raw_inputs.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

train::TrainingProblem training_problem(const TrainConfig& config) {
  const models::ModelOptions& model = config.chain.model;
  const models::StepCost cost = models::step_cost(model);
  // Trajectories that are kept only iterations start from; a loss of the mean state is one of all
  // steps at once.
  const bool at_once = models::make(config.chain.loss, {model.steps})->needs_all_steps();
  const bool pipelines = config.trajectories_kept == 0 && !at_once;
  return {model.steps,
          config.chain.batch,
          config.chain.state_width(),
          cost.layers,
          sizeof(Real) * cost.parameters,
          pipelines,
          config.chain.stacked_cells()};
}

train::Sharing choose_sharing(const TrainConfig& config, int ranks) {
  return train::choose_sharing(training_problem(config), config.sharing, ranks);
}

namespace {

/// Part of a rank's batch whose states it holds at once.
double held_share(const train::PassMethods& methods, Index stages, Index batch,
                  double weight_bytes) {
  if (!methods.pipeline || batch == 0) return 1;
  const train::TrainingPipeline& pipeline = *methods.pipeline;
  Index all = pipeline.micro_batches;
  if (all == 0)
    all = plan::choose_micro_batches(pipeline.schedule,
                                     {static_cast<int>(stages), batch, weight_bytes});
  const plan::PipelineSize size{static_cast<int>(stages), static_cast<int>(all)};
  const int held = pipeline.recompute ? 1 : plan::most_held(pipeline.schedule, size);
  return static_cast<double>(held) / static_cast<double>(all);
}

/// Of both passes, for so many samples a rank.
double solver_bytes(const TrainConfig& config, const train::Sharing& sharing, Index batch) {
  const nonlinear::Problem problem = sharing.problem(training_problem(config));
  const auto forward = sharing.forward();
  const parallel::BlockLayout layout = forward->layout(problem);
  const linear::Problem backward{layout, batch, config.chain.state_width()};
  return forward->memory(problem) + sharing.methods.make_backward()->cost(backward).memory;
}

/// What --weights holds of the cells, the embedding and the head. Collective.
void read_parts(const parallel::Communicator& comm, const ChainConfig& config,
                train::Normalisation normalisation, train::ChainNetwork::Parts& parts) {
  read_weights(comm, config, *parts.sequence);
  if (config.cells) {  // images have their normalisation on their owner
    comm.broadcast(normalisation.mean, 0);
    comm.broadcast(normalisation.deviation, 0);
    take_normalised_inputs(*config.cells, normalisation, stored_rows(*parts.sequence).front()[0]);
  }
  const std::string& file = config.weights;
  if (config.stored.features > 0 && parts.embedding)
    io::read_dense_layer(comm, file, "/embedding", stored_rows(parts.embedding.get()));
  models::End* head = parts.loss->head();
  if (config.stored_outputs() > 0 && head != nullptr)
    io::read_dense_layer(comm, file, "/head", stored_rows(head));
}

}  // namespace

void check_network_size(const parallel::ProcessGrid& grid, const TrainConfig& config,
                        const train::Sharing& sharing, const train::Examples& examples,
                        int outputs) {
  const models::ModelOptions& model = config.chain.model;
  const Index D = grid.depth().size(), R = grid.data().size();
  const Index batch = (config.chain.batch + R - 1) / R;
  const int width = config.chain.state_width();
  sequence::check_index_size(model.steps, batch, width);
  const auto n = static_cast<double>(width), B = static_cast<double>(batch);
  const double steps = static_cast<double>((model.steps + D - 1) / D + 1);
  // states: trajectory, starts, slopes, gradients; parameters: values, gradients, optimiser's
  // memory, old weights, and copies of these
  constexpr double kStateArrays = 6;
  // a reference point, the gradient that draws to it, a copy
  const double parameter_arrays = (config.chain.loss.own.has("proximal") ? 11 : 8) +
                                  2 * static_cast<double>(config.delay.arrays(grid.depth().size()));
  const models::StepCost step = models::step_cost(model);
  const double held = held_share(sharing.methods, D, batch, sizeof(Real) * steps * step.parameters);
  const double states = kStateArrays * steps * B * n * held;
  const double parameters = parameter_arrays * (steps * step.parameters + step.shared_parameters);
  const double each = examples.everywhere() ? 0 : 1;  // signals are there already; of pixels
  const bool linear = !takes_sequences(model) && config.embedding.empty();
  const double embedding = linear ? 8 * n : 0;
  const double pixels =
      static_cast<double>(examples.features()) *
      (each * static_cast<double>(examples.count()) + sizeof(Real) * (2 * B + embedding));
  const double kept =
      static_cast<double>(std::min(config.trajectories_kept, examples.count())) * steps * (n + 1);
  // A mistyped label may ask for more than there is memory for.
  const bool headed =
      models::find_loss(config.chain.loss.name).labels != models::LabelUse::components;
  const double head = headed ? outputs * (parameter_arrays * (n + 1) + 2 * B) : 0;
  const std::string cause =
      head > states + parameters ? fmt::format("{} outputs, as labels ask for: ", outputs) : "";
  parallel::check_memory(grid.world(),
                         sizeof(Real) * (states + parameters + kept + head) +
                             solver_bytes(config, sharing, batch) + pixels,
                         cause);
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
                                 const train::Examples& examples, int outputs) {
  const models::ModelOptions& model = config.chain.model;
  train::ChainNetwork::Options options;
  options.layout = network_layout(config, sharing);
  options.batch = config.chain.batch;
  options.methods = sharing.methods;
  options.normalisation = normalisation;
  options.augmentation = config.augmentation;
  options.trajectories_kept = config.trajectories_kept;
  options.truncate = config.sequences.truncate;
  train::ChainNetwork::Parts parts{models::make(model, options.layout.steps(grid.depth().rank())),
                                   nullptr, nullptr};
  require_stack(sharing.methods.forward, sharing.methods.backward, model.model, *parts.sequence);
  models::LossSizes sizes = models::sizes_for(*parts.sequence, outputs, model.seed);
  sizes.head = make_end(config, models::LayerRole::head);
  parts.loss = models::make(config.chain.loss, sizes);
  parts.embedding = make_end(config, models::LayerRole::embedding);
  if (parts.sequence->input_width() == 0 && !parts.embedding)
    parts.embedding = std::make_unique<models::DenseLayer>(models::LayerRole::embedding,
                                                           static_cast<int>(examples.features()),
                                                           model.width, model.seed);
  if (!config.chain.weights.empty()) read_parts(grid.world(), config.chain, normalisation, parts);
  return {grid, std::move(parts), options, examples};
}

}  // namespace deeppcr::app
