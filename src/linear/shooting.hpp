#pragma once

#include "deeppcr/linear/linear_solver.hpp"
#include "linear/hybrid.hpp"
#include "linear/sequential.hpp"

namespace deeppcr::linear {

/// Shooting for the linear chain and its transpose, the backward pass: all chunks are walked at
/// once from a carry of zero, then the carries between them are corrected.
///
/// Where carries are forgotten, each chunk is walked again from what its neighbour sends until it
/// runs into the old values; no Krylov vector is needed. Else GMRES (PETSc's KSP, preconditioned by
/// prefix sums) solves for the carries, a walk of all chunks for each of its vectors. What is left
/// at the seams is measured, and its growth estimated by random vectors pushed along; the result is
/// right to `rtol` of its largest entry, or comes from substitution.
///
/// Cost: 2 B n^2 L/C flops a sweep on the longest path; one message of B n reals a rank and sweep.
class Shooting final : public LinearSolver {
 public:
  explicit Shooting(Settings settings) : settings_(settings) {}

  const char* name() const override { return "shooting"; }
  /// A step that is walked more than once is walked from the right carry last.
  bool substitutes_right_last() const override { return true; }
  /// The messages are those of one sweep's carries; how many sweeps it takes depends on the chain.
  /// Flops: one sweep, and substitution, in which a chain that does not forget is taken to end.
  Cost cost(const Problem& problem) const override;
  double tolerance() const override { return settings_.rtol; }

  SolveOutcome report(const parallel::BlockLayout&) const override { return report_; }

 private:
  void run(Direction direction, ConstStates rhs, States result) override;
  void finish(LinearSolver& solver, Direction direction, ConstStates rhs, States result);

  Settings settings_;
  Hybrid hybrid_;  ///< one of these finishes where shooting does not
  Sequential substitution_;
  SolveOutcome report_;
};

}  // namespace deeppcr::linear
