#pragma once

#include <memory>
#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "nonlinear/chain_part.hpp"

namespace deeppcr::nonlinear {

/// One windowed solve: the window's place, and what is known of the states so far.
class WindowedRun {
 public:
  struct Size {
    Index steps = 0, batch = 1;
  };
  /// All must outlive the object. @throws Error where the model does not know the Jacobian
  WindowedRun(const parallel::Communicator& comm, const sequence::Sequence& chain,
              const WindowedOptions& options, ChainPart& part, Size size, const Monitors& monitors);

  /// Corrects windows behind the first `frozen` steps until all are frozen. Collective.
  void iterate(double largest_before, Index frozen);
  /// All steps together, until their residual is right with what it grows to; else the fallback.
  /// Collective.
  void iterate_until_right(sequence::Trajectory& states, OwnSteps& part);
  /// The end of a run of which every rank holds all states. Collective.
  void end_sampling(sequence::Trajectory& states);
  /// Collective.
  SolveReport finish(const Stopwatch& watch);

 private:
  /// What one sweep found, over all ranks.
  struct Sweep {
    double residual = 0;
    double correction = 0;
    double size = 0;      ///< of the leading states that have converged
    Index converged = 0;  ///< leading steps with corrections within the tolerance
  };

  StepRange window() const;
  States states(Index l, Index count) { return {part_.state(l), {count, size_.batch, width_}}; }
  double largest_correction(double size) const;
  Sweep sweep();
  double residual(const Section& section);
  Sweep correct(const Section& section);
  void keep_drift(const Section& section);
  void extrapolate(const Section& before);
  void agree(Sweep& sweep) const;
  void record(const Sweep& sweep);
  double known_growth() const;

  const parallel::Communicator& comm_;
  const sequence::Sequence& chain_;
  const WindowedOptions& options_;
  Tolerance tolerance_;
  std::unique_ptr<ApproximateJacobian> jacobian_;
  ChainPart& part_;
  Size size_;
  Index width_;
  Recording recording_;
  Index frozen_ = 0;
  double largest_ = 0;   ///< state in front of the window
  double tighter_ = 1;   ///< corrections are held against this share of what is allowed at first
  std::string why_not_;  ///< why the sweeps ended without the states being right
  Buffer<Real> correction_;
  Buffer<Real> drift_;  ///< [B, n]
  StageTimes stages_;
  parallel::Traffic traffic_;
  parallel::TrafficByLevel levels_;
  SolveReport report_;
};

}  // namespace deeppcr::nonlinear
