#pragma once

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// Layer p of stacked recurrent cells on chunk c of time at tick p + c: sequential execution in
/// another order, with its bits. Nothing is iterated, so cells that remember are as good as any;
/// one layer gains nothing, nor do ranks beyond as many as there are layers.
///
/// Cost: L / Q + (1 - 1 / Q) m steps in a row for as many layers as ranks, Q, and chunks of m
/// steps; a message of m B h + 1 reals a chunk and layer boundary, and states and inputs from ranks
/// of steps to those of layers and back. Memory: a second copy of the states.
class Wavefront final : public Solver {
 public:
  /// chunk_steps: steps of a chunk; 0: by formula.
  explicit Wavefront(Index chunk_steps = 0, const Tolerance& tolerance = {})
      : chunk_steps_(chunk_steps), tolerance_(tolerance) {}

  /// @throws Error for a chain without layers
  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  Cost cost(const Problem& problem, const Effort& effort) const override;
  double memory(const Problem& problem) const override;
  Index most_iterations(const Problem&) const override { return 0; }

 private:
  Index chunk_steps_;
  Tolerance tolerance_;
};

}  // namespace deeppcr::nonlinear
