#include "deeppcr/nonlinear/shooting.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "nonlinear/shooting_run.hpp"

namespace deeppcr::nonlinear {

namespace {

/// What a coupling sends at most: a map a level for dense ones, a state for a prefix sum.
parallel::TrafficByLevel coupling_levels(const Chunks& chunks, const Problem& problem,
                                         int iterations) {
  parallel::TrafficByLevel levels;
  const Index ranks = chunks.owners().num_active_ranks();
  for (Index stride = 1; stride < 2 * ranks; stride *= 2)
    levels.push_back(
        {iterations * ranks, iterations * ranks * problem.state_bytes() * (problem.width + 1)});
  return levels;
}

}  // namespace

const Words<Coupling>& couplings() {
  static const Words<Coupling> all{"coupling",
                                   {"zero", "identity", "first-order", "dense", "auto"}};
  return all;
}

parallel::BlockLayout Shooting::layout(const Problem& problem) const {
  if (options_.chunks > problem.ranks) return Solver::layout(problem);
  std::vector<double> share(static_cast<std::size_t>(problem.ranks), 1.0);
  const bool forward = problem.passes == linear::Passes::forward;
  share.front() = 1 + (forward ? machine().first_rank_forward : machine().first_rank_both_passes);
  return parallel::BlockLayout::by_share(problem.steps, share);
}

SolveReport Shooting::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                            const Monitors& monitors) {
  const petsc::LogEvent event("nonlinear.shooting");
  return ShootingRun(chain, states, options_, monitors).solve();
}

Cost Shooting::cost(const Problem& problem, const Effort& effort) const {
  const parallel::BlockLayout split = layout(problem);
  const Chunks chunks(split, options_.chunks);
  const Index hops = std::max(0, chunks.owners().num_active_ranks() - 1);
  Cost cost;
  // All of each chunk, again in each correction: where starts are forgotten, only its first steps.
  cost.path.evaluations =
      static_cast<double>(split.longest()) +
      static_cast<double>((effort.iterations + 2 * effort.looks) * chunks.longest());
  // The guess and each correction; the ends once more where they were not swept from as they are;
  // twice for a look, with a tangent through it.
  const Index messages = hops * (effort.iterations + 2 + 2 * effort.looks);
  cost.neighbours = {messages, messages * problem.state_bytes()};
  // A judgement of each correction, and of the chunks where there was none; a look before.
  const double k = effort.iterations, judgements = std::max(1.0, k), looks = effort.looks,
               first = options_.coupling == Coupling::automatic ? 1 : 0;
  cost.network =
      Rounds{k + 2 + 2 * looks, judgements + 2 * looks, first + judgements + looks + 1}.seconds(
          problem);
  const bool sums =
      options_.coupling == Coupling::identity || options_.coupling == Coupling::automatic;
  const double sent = static_cast<double>(problem.state_bytes()) * (sums ? 1 : problem.width + 1);
  if (options_.coupling != Coupling::zero)
    cost.network += k * machine().network.scan(sent, problem.ranks);
  if (options_.coupling != Coupling::zero)
    cost.levels = coupling_levels(chunks, problem, effort.iterations);
  return cost;
}

double Shooting::memory(const Problem& problem) const {
  // Sweeps go on in place; with whole Jacobians the slopes of a chunk are held, and a map of each.
  const Chunks chunks(layout(problem), options_.chunks);
  const double state = static_cast<double>(problem.state_bytes()), n = problem.width;
  const auto longest = static_cast<double>(chunks.longest());
  return state * (3 * longest + 2 * (n + 1) * static_cast<double>(chunks.size()));
}

/// Dense couplings send maps, and so does Newton's method where it may be chosen.
double Shooting::largest_message(const Problem& problem) const {
  const double state = Solver::largest_message(problem);
  const bool plain = options_.coupling == Coupling::zero || options_.coupling == Coupling::identity;
  return problem.ranks == 1 || plain ? state : state * (problem.width + 1);
}

Index Shooting::most_iterations(const Problem& problem) const {
  const Index chunks = std::min(std::max<Index>(options_.chunks, problem.ranks), problem.steps);
  return options_.max_iterations > 0 ? options_.max_iterations : chunks;
}

}  // namespace deeppcr::nonlinear
