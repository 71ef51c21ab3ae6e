#pragma once

#include <memory>
#include <string>

#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

struct ShootingOptions {
  Index chunks = 0;     ///< 0: one a rank
  double rtol = 1e-10;  ///< of the solution, relative to its largest entry
  /// May end as plain substitution where that is predicted to be faster.
  bool may_substitute = false;
};

/// How the last solve went.
struct ShootingReport {
  std::string method;  ///< "shooting+zero", "shooting+gmres", "sequential"
  std::string reason;  ///< why it substituted in the end; empty otherwise
  Index chunks = 0;
  int sweeps = 0;       ///< sweeps over all chunks, those of Krylov vectors included
  double residual = 0;  ///< largest mismatch at the seams, over the largest entry
  CriticalPath path;
};

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
  explicit Shooting(ShootingOptions options);
  ~Shooting() override;

  const char* name() const override { return "shooting"; }
  void setup(const blocks::BlockBidiagonal& J) override;
  void solve(ConstStates r, States d) override;
  void solve_transpose(ConstStates c, States g) override;
  /// A step that is walked more than once, whatever Tuned::repeatable() says, is walked from the
  /// right carry last: what is computed on the way must be overwritten by then.
  bool substitutes_once() const override { return true; }
  /// Of one sweep with the messages of its carries; how many it takes depends on the chain.
  Cost cost(const Problem& problem) const override;

  const ShootingReport& report() const { return report_; }

 private:
  void walk(Direction direction, ConstStates rhs, States result);

  ShootingOptions options_;
  const blocks::BlockBidiagonal* J_ = nullptr;
  ShootingReport report_;
};

}  // namespace deeppcr::linear
