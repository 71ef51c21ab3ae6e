#include "app/chain_loss.hpp"

#include <algorithm>

#include "app/files.hpp"
#include "app/over_time.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

constexpr int kRandomClasses = 10;
constexpr std::uint64_t kLabelStream = 0x6c616265;  // "labe"

}  // namespace

bool differentiates(const RunConfig& config) {
  return config.solver.passes == linear::Passes::forward_and_backward;
}

/// A loss of labels that a file has not got would be one of random labels.
void require_labels(const RunConfig& config, const io::Batch& samples) {
  const ChainConfig& chain = config.chain;
  if (!differentiates(config)) return;
  const models::LabelUse use = models::find_loss(chain.loss.name).labels;
  if (use == models::LabelUse::binary)
    throw input_error("--loss {} is for train, which has --positives; use another",
                      chain.loss.name);
  if (use == models::LabelUse::targets && (!chain.signals || chain.signals->target_width == 0)) {
    throw input_error("--loss {}: it compares with /targets [B, steps, k], which {}; use another",
                      chain.loss.name,
                      chain.input.empty() ? "the --input file of a recurrent cell may have"
                                          : chain.input + " has not got");
  }
  const bool needed = use == models::LabelUse::classes || use == models::LabelUse::components;
  const bool labelled = chain.signals ? !chain.signals->labels.empty() : !samples.labels.empty();
  if (!needed || chain.input.empty() || labelled) return;
  throw input_error(
      "--input {}: it has no /labels, and the loss needs {} of them, one a sample; add them, or "
      "use "
      "--data random in place of --input",
      chain.input, chain.batch);
}

void check_components(const ChainConfig& config, int largest_label) {
  const bool components =
      models::find_loss(config.loss.name).labels == models::LabelUse::components;
  if (!components || largest_label < config.model.width) return;
  throw input_error(
      "--loss {} compares a state with the unit vector of its label: the label {} needs a --width "
      "of "
      "{} or more, not {}",
      config.loss.name, largest_label, largest_label + 1, config.model.width);
}

std::unique_ptr<models::Loss> make_loss(const parallel::Communicator& comm,
                                        const ChainConfig& config, const sequence::Sequence& chain,
                                        const std::vector<int>& labels) {
  const int largest = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end());
  const Index held = config.stored_outputs();
  const bool stored = held > 0;
  int classes = stored ? static_cast<int>(held) : std::max(kRandomClasses, largest + 1);
  if (models::find_loss(config.loss.name).labels == models::LabelUse::targets) {
    classes = config.signals ? static_cast<int>(config.signals->target_width) : 1;
    if (stored && classes != held)
      throw input_error("{}: its head has {} outputs, but the targets of {} have {}",
                        config.weights, held, config.input, classes);
  } else if (largest >= classes) {
    throw input_error("{}: its head has {} classes, but there is a label {}", config.weights,
                      classes, largest);
  }
  check_components(config, largest);
  // A mistyped label may ask for more than there is memory for: the layer, its gradient, a copy.
  if (!stored && !config.input.empty()) {
    parallel::check_memory(
        comm, 3.0 * sizeof(Real) * classes * (config.model.width + 1),
        fmt::format("--input {}: its label {} asks for a classifier of {} classes: ", config.input,
                    largest, classes));
  }
  auto loss = models::make(config.loss, models::sizes_for(chain, classes, config.model.seed));
  if (stored && loss->head() != nullptr)
    io::read_dense_layer(comm, config.weights, "/head", stored_rows(loss->head()));
  return loss;
}

std::vector<int> make_labels(const ChainConfig& config, const io::Batch& samples) {
  if (!samples.labels.empty()) return {samples.labels.begin(), samples.labels.end()};
  if (config.signals) return labels_of(config);
  const bool components =
      models::find_loss(config.loss.name).labels == models::LabelUse::components;
  const Index held = config.stored_outputs();
  Index classes = held > 0 ? held : kRandomClasses;
  if (components) classes = std::min<Index>(classes, config.model.width);
  const RandomStream random(config.model.seed, kLabelStream);
  std::vector<int> labels;
  for (Index b = 0; b < config.batch; ++b)
    labels.push_back(static_cast<int>(random.integer(b, classes)));
  return labels;
}

}  // namespace deeppcr::app
