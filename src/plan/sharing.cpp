#include "deeppcr/plan/sharing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"
#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::plan {
namespace {

constexpr const char* kOpen = "auto";
constexpr double kInfinity = std::numeric_limits<double>::infinity();

nonlinear::Settings with_linear(nonlinear::Settings settings, const std::string& linear) {
  settings.own = OptionValues(nonlinear::find("newton").options);
  settings.own.set("linear", linear);
  return settings;
}

/// Those whose cost does not depend on the numbers in the chain.
std::vector<std::string> direct_solvers() {
  std::vector<std::string> names;
  for (const auto& entry : linear::catalogue())
    if (entry.takes(blocks::Structure::dense) && entry.make()->tolerance() == 0)
      names.push_back(entry.name);
  return names;
}

/// All ways to fill in what is open on one grid.
std::vector<PassMethods> candidates(const PassMethods& wanted) {
  std::vector<PassMethods> forward;
  if (wanted.forward != kOpen) {
    forward.push_back(wanted);
  } else {
    forward.push_back({"sequential", wanted.settings, wanted.backward});
    for (const std::string& linear : direct_solvers())
      forward.push_back({"newton", with_linear(wanted.settings, linear), wanted.backward});
  }
  std::vector<PassMethods> all;
  for (PassMethods& one : forward) {
    if (wanted.backward != kOpen) {
      all.push_back(one);
      continue;
    }
    for (const std::string& linear : direct_solvers()) {
      one.backward = linear;
      all.push_back(one);
    }
  }
  return all;
}

/// Flops on the longest path through one linear solve, in steps of one layer for one sample.
double linear_cost(const TrainingProblem& training, const std::string& method,
                   const parallel::BlockLayout& layout, Index batch) {
  linear::Problem problem;
  problem.layout = layout;
  problem.batch = batch;
  problem.width = training.width;
  problem.product_weight = machine().product_flop_ratio(training.width);
  const double step = 2.0 * training.width * training.width;
  return linear::make(method)->cost(problem).critical_flops / step;
}

Index samples_a_rank(const TrainingProblem& training, int data_ranks) {
  return (training.batch + data_ranks - 1) / data_ranks;
}

/// The cheapest methods for one grid.
Sharing best_on_grid(const TrainingProblem& training, const PassMethods& wanted, int depth_ranks,
                     int data_ranks) {
  Sharing best;
  double least = kInfinity;
  for (const PassMethods& methods : candidates(wanted)) {
    const Sharing candidate{depth_ranks, data_ranks, methods, ""};
    const double cost = update_cost(training, candidate).total();
    if (cost < least) {
      least = cost;
      best = candidate;
    }
  }
  return best;
}

void check_grid(const WantedSharing& wanted, int ranks, Index batch) {
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
Sharing best_of(const TrainingProblem& training, const WantedSharing& wanted, int ranks) {
  Sharing best;
  double least = kInfinity;
  for (int D = 1; D <= ranks; ++D) {
    const int R = ranks / D;
    const bool fits = ranks % D == 0 && (wanted.depth_ranks == 0 || wanted.depth_ranks == D) &&
                      (wanted.data_ranks == 0 || wanted.data_ranks == R) && training.batch >= R;
    if (!fits) continue;
    const Sharing candidate = best_on_grid(training, wanted.methods, D, R);
    const double cost = update_cost(training, candidate).total();
    if (cost < least) {
      least = cost;
      best = candidate;
    }
  }
  return best;
}

/// Whether the steps are to be split: who asks for a method that works on all ranks at once wants
/// that.
bool asks_for_depth(const PassMethods& methods) {
  const bool forward = methods.forward != kOpen && nonlinear::find(methods.forward).iterates;
  const bool backward =
      methods.backward != kOpen && !linear::make(methods.backward)->walks_in_a_row();
  return forward || backward;
}

std::string advice(const TrainingProblem& training, const Sharing& chosen, const Sharing& best,
                   int ranks) {
  constexpr double kWorthSaying = 1.05;
  const double gain = update_cost(training, chosen).total() / update_cost(training, best).total();
  if (gain <= kWorthSaying) return "";
  const bool one_by_one = !nonlinear::find(best.methods.forward).iterates;
  return fmt::format(
      "by the cost formulas --nonlinear {} on {} depth x {} data ranks would be about {:.1f} times "
      "faster for this size{}",
      best.methods.forward, best.depth_ranks, best.data_ranks, gain,
      one_by_one && ranks > 1
          ? ": steps one after another do not gain from depth ranks, which would wait for each "
            "other"
          : "");
}

}  // namespace

nonlinear::Problem Sharing::problem(const TrainingProblem& training) const {
  return {training.steps, samples_a_rank(training, data_ranks), training.width,
          depth_ranks,    linear::Passes::forward_and_backward, training.tangent};
}

std::unique_ptr<nonlinear::Solver> Sharing::forward() const {
  return nonlinear::find(methods.forward).make(methods.settings);
}

PassCosts update_cost(const TrainingProblem& training, const Sharing& sharing) {
  const nonlinear::Problem problem = sharing.problem(training);
  const auto solver = sharing.forward();
  const parallel::BlockLayout layout = solver->layout(problem);
  const auto batch = static_cast<double>(problem.batch);
  const double step = batch * training.layers;
  const double own = step * static_cast<double>(nonlinear::longest_range(layout));
  const linear::CriticalPath path =
      solver->cost(problem, {static_cast<int>(machine().newton_iterations), 0}).path;
  const double columns =
      std::max(1.0, training.width * machine().product_flop_ratio(training.width));
  PassCosts costs;
  costs.forward = step * (path.evaluations + columns * path.products);
  costs.backward =
      own +
      training.layers * linear_cost(training, sharing.methods.backward, layout, problem.batch) +
      machine().parameter_passes * own;
  return costs;
}

Sharing choose_sharing(const TrainingProblem& training, const WantedSharing& wanted, int ranks) {
  check_grid(wanted, ranks, training.batch);
  WantedSharing asked = wanted;
  const bool open = wanted.depth_ranks == 0 && wanted.data_ranks == 0;
  if (open && asks_for_depth(wanted.methods)) asked.depth_ranks = ranks;
  Sharing chosen = best_of(training, asked, ranks);

  WantedSharing free;
  free.methods.settings = wanted.methods.settings;
  free.methods.settings.own = {};
  chosen.advice = advice(training, chosen, best_of(training, free, ranks), ranks);
  const bool looks = wanted.methods.forward == kOpen && chosen.depth_ranks > 1 &&
                     !nonlinear::find(chosen.methods.forward).iterates;
  if (looks) chosen.methods.forward = kOpen;
  return chosen;
}

}  // namespace deeppcr::plan
