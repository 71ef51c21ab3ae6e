#pragma once

#include <memory>
#include <optional>
#include <string>

#include "chunk_coupling.hpp"
#include "chunk_sweep.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/chunk_table.hpp"
#include "deeppcr/linear/shooting_plan.hpp"
#include "deeppcr/nonlinear/shooting.hpp"

namespace deeppcr::nonlinear {

using linear::ChunkFacts;
using linear::ChunkTable;
using linear::Judgement;
using linear::kRightBelow;
using linear::PathClock;
using linear::PlanProblem;
using linear::RankFacts;
using linear::ShootingPlan;

/// One solve by shooting: the states between the chunks, and what is done to them sweep by sweep.
class ShootingRun {
 public:
  ShootingRun(const sequence::Sequence& sequence, sequence::Trajectory& trajectory,
              const ShootingOptions& options, Monitor* monitor);

  SolveReport solve();

  /// For PETSc's accelerators, which see the starts of the chunks behind this rank's, [C_local, B,
  /// n]: those of the last sweep, and those that this iteration would take next.
  ConstStates used_starts() const { return {used_.values.data(), used_.shape}; }
  ConstStates following_starts();
  /// A correction that sweeps from these starts instead. False when the solve ends here.
  bool correct_from(ConstStates starts);
  const sequence::Trajectory& trajectory() const { return trajectory_; }
  int most_corrections() const;

 private:
  /// Steps that `auto` looks at before it chooses.
  static constexpr Index kProbe = 128;

  /// States at the ends of the local chunks, [C_local, B, n].
  struct Boundaries {
    explicit Boundaries(const std::array<Index, 3>& s) : values(s[0] * s[1] * s[2]), shape(s) {}
    States view() { return {values.data(), shape}; }
    Buffer<Real> values;
    std::array<Index, 3> shape;
  };

  bool choose();
  bool follow();
  void sweep_to(Index steps);
  void iterate();
  bool correct();
  void next_starts();
  void send_starts();
  void sweep_changed();
  void measure_mismatch();
  void gather();
  bool sweep_on();
  void say_why();
  bool record();
  bool goes_on(bool moves);
  bool is_right() const;
  bool is_first_of_chain(Index i) const { return own_.first + i == 0; }
  Index exact_steps() const;
  void conclude();
  std::string why_not_right() const;
  double substitute(Index exact);
  void take_substituted(double most, Index exact);
  void conclude_sequential(double most);
  bool nothing_at_seams() const;
  double seam_residual();
  SolveReport finished();
  void add_up();

  const sequence::Sequence& sequence_;
  sequence::Trajectory& trajectory_;
  const parallel::Communicator& comm_;
  const ShootingOptions& options_;
  Monitor* monitor_;
  Chunks chunks_;
  StepRange own_;
  ChunkSweep sweep_;
  Coupling coupling_;
  PlanProblem problem_;
  std::optional<ShootingPlan> plan_;  ///< where there was something to choose
  std::unique_ptr<ChunkCoupling> coupler_;
  Boundaries used_;  ///< the start of the next chunk, as it was swept last
  Boundaries next_;  ///< .. as it is to be swept
  Boundaries mismatch_;
  Buffer<Real> incoming_;      ///< [B, n]
  std::vector<bool> changed_;  ///< by local chunk
  ChunkTable table_{{}};
  Judgement judgement_;
  PathClock clock_;
  SolveReport report_;
  StageTimes stages_, stages_before_;
  Stopwatch watch_;
  double step_norm_ = 0;
  double residual_here_ = 0;  ///< of this rank
  double largest_here_ = 0;   ///< state of this rank, where steps were done one after another
  bool by_newton_ = false;
  /// The last gather told what there is to report: no message since.
  bool all_is_told_ = false;
  bool stuck_ = false;
  bool interrupted_ = false;
};

}  // namespace deeppcr::nonlinear
