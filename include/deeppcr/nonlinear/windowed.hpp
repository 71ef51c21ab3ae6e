#pragma once

#include <functional>
#include <memory>
#include <string>

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// Which matrices M_l stand for the Jacobians in the correction d_l = M_l d_{l-1} + r_l. The
/// residual is exact, so all end in the sequential trajectory; the choice changes the number of
/// sweeps.
///
///     dense        the Jacobians themselves: Newton
///     diagonal     their diagonals, from n products each
///     probe        the same estimated from one random column: v .* (A v)
///     paired       the 2 x 2 blocks of a recurrent cell's h and c, where it has both
///     linear_part  what the model says is linear in its steps, no evaluation (Picard's iteration)
///     gaussian     what the Jacobians of a denoiser would be for Gaussian data, no evaluation
///
/// Of a model with known_pairs() all but dense are such blocks.
enum class Jacobian { dense, diagonal, probe, paired, linear_part, gaussian };
/// "linear-part" and so on, as the command line has it.
const char* name(Jacobian jacobian);
/// @throws Error that lists the known names
Jacobian jacobian_from(const std::string& name);

/// Bounds on the diagonals that are evaluated, since a product of many above one overflows.
struct Damping {
  double most = 1.2;  ///< their largest size; infinite: none
};
/// "none", or "clip:C" with C > 0. @throws Error for anything else
Damping damping_from(const std::string& text);

constexpr int kMostHistory = 8;

struct WindowedOptions {
  Jacobian jacobian = Jacobian::diagonal;
  Damping damping = {};           ///< of diagonal, probe and paired
  std::string linear = "hybrid";  ///< for Jacobian::dense, a name from linear::catalogue()
  Index window = 0;               ///< steps corrected together; 0: all
  bool extrapolate = false;       ///< steps that enter the window start from the model's drift
  Tolerance tolerance;
  /// Share of the tolerance that a step's last correction may have: errors of steps add up.
  double margin = 0.4;
  int max_iterations = 1000;  ///< sweeps
  bool fallback = true;       ///< end by sequential substitution where the sweeps do not converge
  std::uint64_t seed = 1;     ///< of random probes
  /// For samplers, whose states every rank holds: ranks share the window in equal parts, and growth
  /// is that of Gaussian data where the model knows it, without an evaluation.
  bool sampler = false;
  /// Changes from sweep to sweep that triangular Anderson acceleration combines a sweep with, of
  /// samplers: to kMostHistory; 0: none.
  int history = 0;
};

/// Corrects a window of steps by d_l = M_l d_{l-1} + r_l with approximate Jacobians M_l until the
/// corrections are at the tolerance; leading states that are there are frozen, and the window moves
/// on behind them. Each sweep is one batched evaluation, one scan, and one reduction.
///
/// The first state of a window is exact after a sweep, so at most L sweeps are needed.
/// Source: ParaDiGMS, arXiv 2305.16317 (linear_part, the window); ELK, arXiv 2407.19115 (diagonal);
/// ParaTAA, arXiv 2402.09970 (history)
class Windowed final : public Solver {
 public:
  explicit Windowed(WindowedOptions options) : options_(std::move(options)) {}

  /// Where each rank holds its own steps all are corrected together, whatever options.window says,
  /// until their residual is right with what it grows to. Of a sampler (options.sampler, a
  /// replicated layout) the result is on all ranks; the residual reported is that of the last
  /// evaluation of each step, before its last correction.
  /// @pre options.jacobian is dense for samplers only (else Newton does that)
  /// @throws Error where the model does not know the Jacobian asked for
  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  /// The same behind the first `frozen` steps of a sampler, which are right.
  SolveReport sample(const sequence::Sequence& chain, sequence::Trajectory& states, Index frozen,
                     const Monitors& monitors = {});

  Cost cost(const Problem& problem, const Effort& effort) const override;
  double memory(const Problem& problem) const override;
  Index most_iterations(const Problem&) const override { return options_.max_iterations; }
  std::vector<std::string> stages() const override { return {"residual", "linear", "exchange"}; }

 private:
  WindowedOptions options_;
};

}  // namespace deeppcr::nonlinear
