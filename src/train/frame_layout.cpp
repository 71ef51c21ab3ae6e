#include "deeppcr/train/frame_layout.hpp"

#include <algorithm>
#include <vector>

#include "deeppcr/core/machine.hpp"

namespace deeppcr::train {

namespace {

/// Of an optimiser's step, for one parameter.
double update_seconds(const OptimiserOptions& optimiser) {
  const OptimiserEntry& entry = find_optimiser(optimiser.rule);
  const auto memory = entry.make(OptionValues(entry.options, optimiser.own))->memory();
  const KernelSeconds& kernels = machine().kernels;
  return kernels.update + kernels.update_memory * static_cast<double>(memory.size());
}

}  // namespace

// A stage that learns goes three times through its layers: forward, back to the states, and to
// the weights; an embedding has no state to go back to.
FrameCost frame_cost(const FrameNetwork& network) {
  const KernelSeconds& kernels = machine().kernels;
  const models::StepCost step = models::step_cost(network.chain);
  const int n = models::state_width(network.chain);
  FrameCost cost;
  cost.step = step.call + step.layers * kernels.layer(n, 1);
  cost.embedding = kernels.product(n, network.features, 1);
  cost.head = kernels.product(network.classes, n, 1);
  if (network.optimiser == nullptr) return cost;
  const double update = update_seconds(*network.optimiser);
  cost.step = 3 * cost.step + update * (step.parameters + step.shared_parameters);
  cost.embedding = 2 * cost.embedding + update * static_cast<double>((network.features + 1) * n);
  cost.head = 3 * cost.head + update * static_cast<double>((n + 1) * network.classes);
  return cost;
}

parallel::BlockLayout frame_layout(Index steps, int stages, const FrameCost& cost) {
  if (steps == 0 || stages == 1) return parallel::BlockLayout::balanced(steps, stages);
  const double all = static_cast<double>(steps) * cost.step + cost.embedding + cost.head;
  const double each = all / stages;
  std::vector<double> share(static_cast<std::size_t>(stages), each);
  share.front() = std::max(0.0, each - cost.embedding);
  share.back() = std::max(0.0, each - cost.head);
  return parallel::BlockLayout::by_share(steps, share);
}

}  // namespace deeppcr::train
