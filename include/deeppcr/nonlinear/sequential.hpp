#pragma once

#include <optional>
#include <string>

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// States 1..m of [m + 1, B, n] from states[0], step after step, samples split over the ranks;
/// equal on all ranks afterwards. For chains of which every rank holds all steps. Returns the
/// seconds of the slowest rank's steps. Collective.
double propagate_samples(const parallel::Communicator& comm, const sequence::Sequence& chain,
                         States states);

/// Sequential execution, rank after rank, step after step: the baseline that users have, and what
/// every other method ends in. Its states are right by definition where they are numbers.
///
/// Where every rank holds all steps (a replicated layout), ranks share the samples instead.
/// Cost: L step evaluations in a row; P - 1 messages of B n reals.
class Sequential final : public Solver {
 public:
  explicit Sequential(const Tolerance& tolerance = {}) : tolerance_(tolerance) {}

  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  Cost cost(const Problem& problem, const Effort& effort) const override;
  double memory(const Problem& problem) const override;
  Index most_iterations(const Problem&) const override { return 0; }

 private:
  Tolerance tolerance_;
};

/// K of the guess "coarse:K", 0 where that is no whole number; nothing for other words.
std::optional<Index> coarsening(const std::string& guess);

/// Fills the states with those of a coarser chain: every `factor`-th step, with `factor` times the
/// change that it makes, and straight lines between. A first guess for chains whose steps change
/// little and smoothly, such as residual networks (a large Euler step, as in layer-parallel
/// training, arXiv 1812.04352).
///
/// Collective; rank after rank. Cost: L / factor step evaluations in a row, P - 1 messages of B n
/// reals. @pre factor >= 1
void fill_with_coarse_chain(const sequence::Sequence& sequence, Index factor,
                            sequence::Trajectory& trajectory);

}  // namespace deeppcr::nonlinear
