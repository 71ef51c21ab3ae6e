#pragma once

#include <memory>
#include <optional>
#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "nonlinear/approximate_jacobian.hpp"
#include "nonlinear/triangular_anderson.hpp"

namespace deeppcr::nonlinear {

/// One windowed solve: the window's place, and what is known of the states so far.
class WindowedRun {
 public:
  /// All must outlive the object. @throws Error where the model does not know the Jacobian
  WindowedRun(const sequence::Sequence& chain, sequence::Trajectory& trajectory,
              const WindowedOptions& options, const Monitors& monitors);

  /// All steps together, until their residual is right with what it grows to; else the fallback.
  /// Collective.
  SolveReport solve();
  /// Windows behind the first `frozen` steps, until all are frozen; every rank holds all states.
  /// Collective.
  SolveReport sample(Index frozen);

 private:
  /// What one sweep found, over all ranks.
  struct Sweep {
    double residual = 0;
    double correction = 0;
    double size = 0;      ///< of the leading states that have converged
    Index converged = 0;  ///< leading steps with corrections within the tolerance
  };

  const parallel::Communicator& comm() const { return trajectory_.comm(); }
  StepRange window() const;
  /// The steps of a window that this rank corrects: where all ranks hold all, in equal parts.
  Section section_of(StepRange window) const;
  /// The state before step l, followed by those after it up to the end of the local ones.
  Real* state(Index l) const { return states_[l - first_].data(); }
  States states(Index l, Index count) const { return {state(l), {count, batch_, width_}}; }
  /// The steps whose states this rank changes: of a sampler all, so that all ranks hold them.
  StepRange corrected(const Section& section) const;
  /// r and d of those steps, of step l and behind it.
  Real* correction(const Section& section, Index l);
  States corrections(const Section& section, StepRange steps);
  void iterate(double largest_before, Index frozen);
  void end(Index exact, bool measures_growth);
  SolveReport finish();
  double largest_correction(double size) const;
  Sweep sweep();
  double residual(const Section& section);
  void solve_linear(const Section& section);
  Sweep correct(const Section& section);
  void keep_drift(const Section& section);
  void extrapolate(const Section& before);
  void agree(Sweep& sweep);
  void record(const Sweep& sweep);
  bool stalls(double residual);
  double known_growth() const;

  const sequence::Sequence& chain_;
  sequence::Trajectory& trajectory_;
  const WindowedOptions& options_;
  ApproximateJacobian jacobian_;
  Index steps_, batch_, width_;
  bool all_here_;  ///< every rank holds all states
  Index first_;    ///< local step
  States states_;  ///< the one in front of it, and behind that the local ones
  Recording recording_;
  parallel::Reduction together_;  ///< of the sweep at hand
  Index frozen_ = 0;
  double largest_ = 0;  ///< state in front of the window
  double tighter_ = 1;  ///< corrections are held against this share of what is allowed at first
  double best_residual_ = 0;  ///< of all sweeps, to half of it
  int since_best_ = 0;        ///< sweeps without a better one
  Index frozen_at_best_ = 0;
  std::string why_not_;  ///< why the sweeps ended without the states being right
  Buffer<Real> correction_;
  std::optional<TriangularAnderson> anderson_;
  Buffer<Real> drift_;  ///< [B, n]
  StageTimes stages_;
  parallel::Traffic traffic_;
  parallel::TrafficByLevel levels_;
  SolveReport report_;
};

}  // namespace deeppcr::nonlinear
