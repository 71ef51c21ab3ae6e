#pragma once

#include <optional>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/chunk_facts.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/nonlinear/shooting.hpp"
#include "nonlinear/chunk_coupling.hpp"
#include "nonlinear/chunk_starts.hpp"
#include "nonlinear/chunk_sweep.hpp"

namespace deeppcr::nonlinear {

/// One solve by shooting: corrections sweep by sweep until the states are right.
class ShootingRun {
 public:
  ShootingRun(const sequence::Sequence& chain, sequence::Trajectory& states,
              const ShootingOptions& options, const Monitors& monitors);

  SolveReport solve();

 private:
  using Method = plan::ChunkPlan::Method;
  /// Steps of each chunk that are looked at before a method is chosen.
  static constexpr Index kProbe = 128;

  const parallel::Communicator& comm() const { return states_.comm(); }
  Index num_steps() const { return states_.layout().num_steps(); }
  bool is_first_of_chain(Index i) const { return own_.first + i == 0; }
  /// Whether chunks are long enough for the tangents of their sweeps to tell what errors grow to;
  /// else growth is measured along the whole trajectory, in the end.
  bool sweeps_tell_growth() const;
  /// Leading steps whose states are those of sequential execution, bit for bit.
  Index exact_steps() const;
  int most_corrections() const;

  Method choose();
  Index steps_to_probe(double tangent) const;
  SolveReport solve_by_newton();
  SolveReport solve_sequentially();
  SolveReport solve_by_wavefront();
  void shoot();
  void first_sweep(Index steps, bool with_tangents);
  void judge();
  void collect();
  void propose();
  void accelerate();
  void evaluate(const Real* x, Real* F);
  bool correct();
  bool goes_on(bool moves);
  bool is_right();
  bool is_right_along_the_whole();
  void record();
  void conclude_sweeps();
  double seam_residual();
  std::string why_not_right() const;
  SolveReport finished();

  const sequence::Sequence& chain_;
  sequence::Trajectory& states_;
  ShootingOptions options_;
  Monitors monitors_;
  Chunks chunks_;
  StepRange own_;  ///< this rank's
  ChunkSweep sweep_;
  ChunkStarts starts_;
  linear::ChunkPlace place_;
  std::vector<linear::ChunkFacts> facts_;  ///< of this rank's chunks
  linear::Judgement judgement_;
  Recording recording_;
  Coupling coupling_;
  std::optional<ChunkCoupling> coupler_;
  linear::PathClock clock_;
  parallel::Reduction together_;  ///< of the last judgement
  SolveReport report_;
  StageTimes stages_;
  parallel::Traffic traffic_;
  Assessment assessed_;  ///< where sweeps do not tell what errors grow to
  Index probed_ = 0;     ///< first steps of each chunk that the choice has looked at
  double tighter_ = 1;   ///< seams are held against this share of the tolerance at first
  double change_ = 0;    ///< largest of this rank's starts in the last correction
  bool ended_ = false;   ///< of accelerated corrections
  bool stuck_ = false;
  bool right_ = false;
};

}  // namespace deeppcr::nonlinear
