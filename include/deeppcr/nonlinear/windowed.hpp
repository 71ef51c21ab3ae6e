#pragma once

#include <functional>
#include <memory>
#include <string>

#include "deeppcr/nonlinear/approximate_jacobian.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

struct WindowedOptions {
  Jacobian jacobian = Jacobian::diagonal;
  std::string linear = "hybrid";  ///< for Jacobian::dense, a name from linear::catalogue()
  Index window = 0;               ///< steps corrected together; 0: all
  bool extrapolate = false;       ///< steps that enter the window start from the model's drift
  double rtol = 1e-10;            ///< relative to the largest state
  double atol = 0;
  int max_iterations = 1000;  ///< sweeps
  bool fallback = true;       ///< end by sequential substitution where the sweeps do not converge
  std::uint64_t seed = 1;     ///< of random probes
};

/// Corrects a window of steps by d_l = M_l d_{l-1} + r_l with approximate Jacobians M_l until the
/// corrections are at the tolerance; leading states that are there are frozen, and the window moves
/// on behind them. Each sweep is one batched evaluation, one scan, and one reduction.
///
/// The first state of a window is exact after a sweep, so at most L sweeps are needed.
/// Source: ParaDiGMS, arXiv 2305.16317 (linear_part, the window); ELK, arXiv 2407.19115 (diagonal)
class Windowed {
 public:
  /// @throws Error where the model does not know the Jacobian asked for
  Windowed(const parallel::Communicator& comm, const sequence::Sequence& sequence,
           WindowedOptions options);
  ~Windowed();

  /// A chain of which each rank holds its own steps: all are corrected together, whatever
  /// options.window says. Starts from trajectory.states(), leaves the solution there; its residual
  /// is held against the tolerance at the end. Collective.
  /// @pre options.jacobian is not dense (Newton does that)
  SolveReport solve(sequence::Trajectory& trajectory, Monitor* monitor = nullptr);

  /// A chain of which every rank holds every step: ranks share the window in equal parts. states [L
  /// + 1, B, n], equal on all ranks: z_0, then the guess; the first `frozen` steps are right. The
  /// solution is left there, on all ranks. The residual reported is that of the last evaluation of
  /// each step, before its last correction. Collective.
  SolveReport solve_shared(States states, Index frozen = 0, Monitor* monitor = nullptr);

 private:
  class Run;

  const parallel::Communicator& comm_;
  const sequence::Sequence& sequence_;
  WindowedOptions options_;
  std::unique_ptr<ApproximateJacobian> jacobian_;
};

}  // namespace deeppcr::nonlinear
