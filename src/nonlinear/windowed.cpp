#include "deeppcr/nonlinear/windowed.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "nonlinear/triangular_anderson.hpp"
#include "nonlinear/windowed_run.hpp"

namespace deeppcr::nonlinear {

SolveReport Windowed::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                            const Monitors& monitors) {
  if (options_.sampler) return sample(chain, states, 0, monitors);
  DEEPPCR_ASSERT(options_.jacobian != Jacobian::dense, "Newton is for dense Jacobians");
  return WindowedRun(chain, states, options_, monitors).solve();
}

SolveReport Windowed::sample(const sequence::Sequence& chain, sequence::Trajectory& states,
                             Index frozen, const Monitors& monitors) {
  return WindowedRun(chain, states, options_, monitors).sample(frozen);
}

Cost Windowed::cost(const Problem& problem, const Effort& effort) const {
  const auto m = static_cast<double>(layout(problem).longest());
  const Index hops = std::max(0, layout(problem).num_active_ranks() - 1),
              state = problem.state_bytes();
  // The guess and each sweep; twice for a look, with a tangent through it.
  const Index iterations = effort.iterations, messages = hops * (1 + iterations + 2 * effort.looks);
  Cost cost;
  cost.path.evaluations = static_cast<double>(iterations + 2 * effort.looks) * m;
  cost.neighbours = {messages, messages * state};
  // Maps of two diagonals in the scans, of pairs three.
  const Index numbers = options_.jacobian == Jacobian::paired ? 3 : 2;
  const double k = iterations, looks = effort.looks;
  cost.network = Rounds{1 + k + 2 * looks, 2 * looks, 2 * k + looks + 1}.seconds(problem) +
                 k * machine().network.scan(static_cast<double>(numbers * state), problem.ranks);
  for (Index stride = 1; stride <= hops; stride *= 2)
    cost.levels.push_back(
        {iterations * (hops + 1 - stride), iterations * (hops + 1 - stride) * numbers * state});
  return cost;
}

double Windowed::memory(const Problem& problem) const {
  if (options_.sampler) {
    // Corrections of the window, the diagonals twice, and what acceleration keeps.
    const int kept = options_.history > 0 ? TriangularAnderson::numbers(options_.history) : 0;
    const Index window =
        options_.window > 0 ? std::min(options_.window, problem.steps) : problem.steps;
    return static_cast<double>((3 + kept) * window * problem.state_bytes());
  }
  // A copy of the states, the corrections, the diagonals twice, and what a linearisation keeps.
  constexpr double kArrays = 6;
  return kArrays * static_cast<double>(layout(problem).longest() * problem.state_bytes());
}

}  // namespace deeppcr::nonlinear
