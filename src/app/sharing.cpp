#include "deeppcr/app/sharing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::app {
namespace {

/// Newton iterations of a forward pass: what networks take from a constant start (4 to 6).
constexpr double kNewtonIterations = 5;
/// Parameter gradients against a forward pass: the pre-activations again, then two products.
constexpr double kParameterPasses = 3;

/// Flops on the longest path through one linear solve, for a step of several layers.
double linear_flops(const std::string& method, const parallel::BlockLayout& layout, Index batch,
                    const models::ModelOptions& model) {
  linear::Problem problem;
  problem.layout = layout;
  problem.batch = batch;
  problem.width = model.width;
  problem.product_weight = linear::product_flop_ratio(model.width);
  return linear::find(method).make()->cost(problem).critical_flops;
}

/// All ways to fill in what is open on one grid.
template <typename Visit>
void for_each_method(const std::string& wanted, Visit&& visit) {
  if (wanted != "auto") {
    visit(wanted);
    return;
  }
  for (const auto& entry : linear::catalogue())
    if (entry.takes(blocks::Structure::dense)) visit(entry.name);
}

/// The cheapest methods for one grid.
Sharing best_on_grid(const TrainConfig& config, int depth_ranks, int data_ranks) {
  Sharing best;
  double least = std::numeric_limits<double>::infinity();
  for_each_method(config.sharing.solver.forward, [&](const std::string& forward) {
    for_each_method(config.sharing.solver.backward, [&](const std::string& backward) {
      Sharing candidate{depth_ranks, data_ranks, config.sharing.solver, ""};
      candidate.solver.forward = forward;
      candidate.solver.backward = backward;
      const double cost = update_cost(config, candidate).total();
      if (cost < least) {
        least = cost;
        best = candidate;
      }
    });
  });
  return best;
}

void check_grid(const SharingConfig& wanted, int ranks, Index batch) {
  const int D = wanted.depth_ranks, R = wanted.data_ranks;
  if (D > 0 && R > 0 && D * R != ranks) {
    throw input_error(
        "--depth-ranks {} x --data-ranks {} = {}, but there are {} ranks; leave one of them out", D,
        R, D * R, ranks);
  }
  for (const int given : {D, R}) {
    if (given > 0 && ranks % given != 0) {
      throw input_error("--{} {}: {} ranks cannot be divided by it",
                        given == D ? "depth-ranks" : "data-ranks", given, ranks);
    }
  }
  const int data_ranks = R > 0 ? R : (D > 0 ? ranks / D : 1);
  if (batch < data_ranks) {
    throw input_error(
        "--batch {}: fewer samples than the {} data ranks; use a larger --batch or "
        "more --depth-ranks",
        batch, data_ranks);
  }
}

/// The cheapest grid that the wishes and the batch allow.
Sharing best_of(const TrainConfig& config, int ranks) {
  Sharing best;
  double least = std::numeric_limits<double>::infinity();
  const SharingConfig& wanted = config.sharing;
  for (int D = 1; D <= ranks; ++D) {
    const int R = ranks / D;
    const bool fits = ranks % D == 0 && (wanted.depth_ranks == 0 || wanted.depth_ranks == D) &&
                      (wanted.data_ranks == 0 || wanted.data_ranks == R) && config.chain.batch >= R;
    if (!fits) continue;
    const Sharing candidate = best_on_grid(config, D, R);
    const double cost = update_cost(config, candidate).total();
    if (cost < least) {
      least = cost;
      best = candidate;
    }
  }
  return best;
}

}  // namespace

PassCosts update_cost(const TrainConfig& config, const Sharing& sharing) {
  const models::ModelOptions& model = config.chain.model;
  const double layers = models::step_cost(model).layers;
  const Index batch = (config.chain.batch + sharing.data_ranks - 1) / sharing.data_ranks;
  const parallel::BlockLayout layout = linear::find(sharing.solver.forward)
                                           .layout(model.steps, sharing.depth_ranks, model.width,
                                                   linear::Passes::forward_and_backward);
  Index most = 0;
  for (int p = 0; p < sharing.depth_ranks; ++p) most = std::max(most, layout.range(p).size());
  const double step = 2 * static_cast<double>(batch) * model.width * model.width * layers;
  const double own = step * static_cast<double>(most);
  const double whole = step * static_cast<double>(model.steps);
  const auto linear = [&](const std::string& method) {
    return layers * linear_flops(method, layout, batch, model);
  };
  PassCosts costs;
  costs.forward = sharing.solver.forward == "sequential"
                      ? whole
                      : kNewtonIterations * (own + linear(sharing.solver.forward));
  costs.backward = own + linear(sharing.solver.backward) + kParameterPasses * own;
  return costs;
}

Sharing choose_sharing(const TrainConfig& config, int ranks) {
  check_grid(config.sharing, ranks, config.chain.batch);
  TrainConfig wish = config;
  // Whoever asks for a parallel method wants the steps to be split.
  const auto parallel = [](const std::string& method) {
    return method != "auto" && method != "sequential";
  };
  const train::ChainSolverOptions& solver = config.sharing.solver;
  const bool open = config.sharing.depth_ranks == 0 && config.sharing.data_ranks == 0;
  if (open && (parallel(solver.forward) || parallel(solver.backward)))
    wish.sharing.depth_ranks = ranks;
  Sharing chosen = best_of(wish, ranks);

  TrainConfig free = config;
  free.sharing.depth_ranks = free.sharing.data_ranks = 0;
  free.sharing.solver.forward = free.sharing.solver.backward = "auto";
  const Sharing best = best_of(free, ranks);
  const double gain = update_cost(config, chosen).total() / update_cost(config, best).total();
  constexpr double kWorthSaying = 1.05;
  if (gain > kWorthSaying) {
    chosen.advice = fmt::format(
        "by the cost formulas --linear {} on {} depth x {} data ranks would be about {:.1f} times "
        "faster for this size{}",
        best.solver.forward, best.depth_ranks, best.data_ranks, gain,
        best.solver.forward == "sequential" && ranks > 1
            ? ": steps one after another do not gain from depth ranks, which would wait for each "
              "other"
            : "");
  }
  return chosen;
}

}  // namespace deeppcr::app
