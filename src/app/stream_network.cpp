#include "app/stream_network.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/chain.hpp"
#include "app/ends.hpp"
#include "app/examples.hpp"
#include "app/files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/models/loss.hpp"
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

/// @throws Error for a loss that is not one of classes after the last step
void check_loss(const ChainConfig& chain) {
  const models::LossEntry& entry = models::find_loss(chain.loss.name);
  if (entry.labels != models::LabelUse::classes) {
    std::vector<std::string> possible;
    for (const models::LossEntry& one : models::losses())
      if (one.labels == models::LabelUse::classes) possible.push_back(one.name);
    throw input_error("--loss {}: a stream tells classes apart by a head; use {}", entry.name,
                      fmt::join(possible, " or "));
  }
  const auto loss = models::make(chain.loss, {std::max<Index>(chain.model.steps, 1)});
  if (loss->needs_all_steps() || (chain.model.steps > 1 && loss->reads(0)))
    throw input_error("--loss-at: the last stage alone sees the loss, of the last state; use last");
}

/// What the ends are known to take and make: by modules, else by the weights file.
KnownNetwork known_ends(const StreamConfig& config) {
  const ChainConfig& chain = config.network.chain;
  KnownNetwork known{chain.weights, chain.stored.features, chain.stored_outputs()};
  adopt_ends(config.network, known);
  return known;
}

}  // namespace

void check_network(const parallel::Communicator& comm, const StreamConfig& config) {
  const ChainConfig& chain = config.network.chain;
  look_at_ends(comm, config.network);
  if (models::input_width(chain.model) > 0)
    throw input_error(
        "--model {}: its steps take inputs over time, and a frame of a stream is the first state "
        "alone; use a model without --features, such as resnet",
        chain.model.model);
  check_save_weights(chain.model, config.network.files.save_weights);
  check_loss(chain);
  if (!config.learns() || comm.size() == 1) return;
  for (const sequence::ParameterGroup& group :
       models::make(chain.model, StepRange{0, 0})->parameters()) {
    if (!group.shared) continue;
    throw input_error(
        "--learning-rate {}: the steps of --model {} share weights, which {} ranks would each "
        "learn for themselves; use one rank, or a model such as resnet",
        config.schedule.peak, chain.model.model, comm.size());
  }
}

EndSizes end_sizes(const StreamConfig& config, const train::Images& images) {
  const KnownNetwork known = known_ends(config);
  const std::string& taker = known.embedding.empty() ? known.file : known.embedding;
  const std::string& teller = known.head.empty() ? known.file : known.head;
  const bool raw = !config.frames.empty();
  if (!raw && known.features > 0 && known.features != images.features())
    throw input_error("--data {}: its images have {} pixels, but the network of {} takes {}",
                      config.network.chain.data, images.features(), taker, known.features);
  EndSizes sizes;
  sizes.features =
      raw ? settle("frame-size", config.frame_size, known.features, taker, 0) : images.features();
  sizes.classes = static_cast<int>(
      settle("classes", config.classes, known.outputs, teller, raw ? 0 : images.classes()));
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
  network.embedding = make_end(config.network, LayerRole::embedding);
  if (!network.embedding)
    network.embedding = std::make_unique<models::DenseLayer>(
        LayerRole::embedding, static_cast<int>(sizes.features), given.state_width(), model.seed);
  // Of the last state alone, as of a chain of one step.
  models::LossSizes last{1, columns.count, sizes.classes, model.seed, columns.first};
  last.head = make_end(config.network, LayerRole::head);
  network.loss = models::make(given.loss, last);
  network.head = network.loss->head();
  if (given.weights.empty()) return network;
  read_weights(comm, given, *network.chain);
  if (given.stored.features > 0 && config.network.embedding.empty())
    io::read_dense_layer(comm, given.weights, "/embedding", stored_rows(network.embedding.get()));
  if (given.stored_outputs() > 0 && config.network.head.empty())
    io::read_dense_layer(comm, given.weights, "/head", stored_rows(network.head));
  return network;
}

void warn_of_random_parts(const StreamConfig& config) {
  const ChainConfig& chain = config.network.chain;
  if (!config.network.files.restart.empty()) return;  // it has all of them
  const bool modules = static_cast<bool>(models::find(chain.model.model).make_end);
  const char* then = config.learns() ? "" : ", and classes by chance";
  if (config.learns() && chain.weights.empty()) return;
  if (chain.weights.empty() && !modules) {
    log::warn("no --weights: the network is drawn by --seed {}{}", chain.model.seed, then);
    return;
  }
  std::vector<std::string> drawn;
  if (chain.stored.features == 0 && config.network.embedding.empty()) drawn.push_back("embedding");
  if (chain.stored_outputs() == 0 && config.network.head.empty()) drawn.push_back("head");
  if (drawn.empty()) return;
  log::warn("{} no {}: drawn by --seed {}{}",
            modules ? "there is" : fmt::format("--weights {} has", chain.weights),
            fmt::join(drawn, " and no "), chain.model.seed, then);
}

/// The embedding is with the rank that writes; the head comes to it.
void save_network(const cli::Context& context, const StreamConfig& config,
                  const StreamNetwork& network) {
  const parallel::Communicator& comm = context.comm;
  const FilesConfig& files = config.network.files;
  const int last = comm.size() - 1;
  if (!files.save_weights.empty()) {
    const View<Real, 1> head = network.head->parameters();
    comm.broadcast(head.data(), head.size(), last);
    save_weights(
        context, files.save_weights,
        {config.network.chain.model, network.chain->local_steps(), stored_rows(*network.chain),
         stored_rows(network.embedding.get()), stored_rows(network.head)});
  }
  if (!files.save_module.empty())
    save_modules(parallel::ProcessGrid(comm, comm.size(), 1),
                 {*network.chain, network.embedding.get(), network.head, last}, config.network);
}

}  // namespace deeppcr::app
