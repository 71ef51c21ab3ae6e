#include "app/stream_network.hpp"

#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "app/chain.hpp"
#include "app/files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/models/class_losses.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/train/frame_layout.hpp"

namespace deeppcr::app {
namespace {

/// A size by the weights file, by an option, and by the data, which must not contradict.
Index settle(const char* option, Index given, Index stored, const std::string& file, Index data) {
  if (given > 0 && stored > 0 && given != stored)
    throw input_error("--{} {}: the network of {} has {}; leave it out", option, given, file,
                      stored);
  if (stored > 0) return stored;
  if (given > 0) return given;
  if (data > 0) return data;
  throw input_error("--{} is needed: no --weights FILE with {} says it", option,
                    std::string(option) == "classes" ? "a head" : "an embedding");
}

/// Reals that a rank keeps of each parameter.
double copies(const StreamConfig& config) {
  if (!config.learns()) return 1;
  const train::OptimiserEntry& entry = train::find_optimiser(config.optimiser.rule);
  const OptionValues own(entry.options, config.optimiser.own);
  return 2 + static_cast<double>(entry.make(own)->memory().size());
}

}  // namespace

void check_network(const StreamConfig& config, int ranks) {
  const ChainConfig& chain = config.network.chain;
  if (models::input_width(chain.model) > 0)
    throw input_error(
        "--model {}: its steps take inputs over time, and a frame of a stream is the first state "
        "alone; use a model without --features, such as resnet",
        chain.model.model);
  check_save_weights(chain.model, config.network.files.save_weights);
  if (!config.learns() || ranks == 1) return;
  for (const sequence::ParameterGroup& group :
       models::make(chain.model, StepRange{0, 0})->parameters()) {
    if (!group.shared) continue;
    throw input_error(
        "--learning-rate {}: the steps of --model {} share weights, which {} ranks would each "
        "learn for themselves; use one rank, or a model such as resnet",
        config.learning_rate, chain.model.model, ranks);
  }
}

EndSizes end_sizes(const StreamConfig& config, const train::Images& images) {
  const ChainConfig& chain = config.network.chain;
  const io::WeightsShape& stored = chain.stored;
  const bool raw = !config.frames.empty();
  if (!raw && stored.features > 0 && stored.features != images.features())
    throw input_error("--data {}: its images have {} pixels, but the network of {} takes {}",
                      chain.data, images.features(), chain.weights, stored.features);
  EndSizes sizes;
  sizes.features = raw ? settle("frame-size", config.frame_size, stored.features, chain.weights, 0)
                       : images.features();
  sizes.classes = static_cast<int>(settle("classes", config.classes, chain.stored_outputs(),
                                          chain.weights, raw ? 0 : images.classes()));
  return sizes;
}

StreamNetwork make_network(const parallel::Communicator& comm, const StreamConfig& config,
                           const EndSizes& sizes) {
  using models::LayerRole;
  const ChainConfig& given = config.network.chain;
  const models::ModelOptions& model = given.model;
  const train::FrameCost cost = train::frame_cost(
      {model, sizes.features, sizes.classes, config.learns() ? &config.optimiser : nullptr});
  const auto layout = train::frame_layout(model.steps, comm.size(), cost);
  const models::StepCost step = models::step_cost(model);
  const auto steps = static_cast<double>(layout.range(comm.rank()).size());
  const double ends = static_cast<double>(sizes.features + sizes.classes) * model.width;
  const double parameters = steps * step.parameters + ends;
  parallel::check_memory(comm,
                         sizeof(Real) * (copies(config) * parameters + 2 * steps * model.width));
  StreamNetwork network{layout, models::make(model, layout.steps(comm.rank())), {}, {}, {}};
  const sequence::Columns columns = network.chain->output();
  network.embedding = std::make_unique<models::DenseLayer>(
      LayerRole::embedding, static_cast<int>(sizes.features), given.state_width(), model.seed);
  network.head = std::make_shared<models::DenseLayer>(LayerRole::head, columns.count, sizes.classes,
                                                      model.seed);
  network.loss = std::make_unique<models::CrossEntropy>(
      models::LossSizes{1, columns.count, sizes.classes, model.seed, columns.first, network.head});
  if (given.weights.empty()) return network;
  read_weights(comm, given, *network.chain);
  if (given.stored.features > 0)
    io::read_dense_layer(comm, given.weights, "/embedding", network.embedding->rows());
  if (given.stored_outputs() > 0)
    io::read_dense_layer(comm, given.weights, "/head", network.head->rows());
  return network;
}

void warn_of_random_parts(const StreamConfig& config) {
  const ChainConfig& chain = config.network.chain;
  if (!config.network.files.restart.empty()) return;  // it has all of them
  const char* then = config.learns() ? "" : ", and classes by chance";
  if (chain.weights.empty()) {
    if (!config.learns())
      log::warn("no --weights: the network is drawn by --seed {}{}", chain.model.seed, then);
    return;
  }
  std::vector<std::string> drawn;
  if (chain.stored.features == 0 && config.network.embedding.empty()) drawn.push_back("embedding");
  if (chain.stored_outputs() == 0 && config.network.head.empty()) drawn.push_back("head");
  if (!drawn.empty())
    log::warn("--weights {} has no {}: drawn by --seed {}{}", chain.weights,
              fmt::join(drawn, " and no "), chain.model.seed, then);
}

/// The embedding is with the rank that writes; the head comes to it.
void save_weights(const cli::Context& context, const StreamConfig& config,
                  const StreamNetwork& network) {
  const View<Real, 1> head = network.head->parameters();
  context.comm.broadcast(head.data(), head.size(), context.comm.size() - 1);
  save_weights(context, config.network.files.save_weights,
               {config.network.chain.model, network.chain->local_steps(),
                stored_rows(*network.chain), network.embedding->rows(), network.head->rows()});
}

}  // namespace deeppcr::app
