#pragma once

#include <memory>

#include "deeppcr/nonlinear/growth.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "nonlinear/chunk_coupling.hpp"
#include "nonlinear/shooting_work.hpp"

namespace deeppcr::nonlinear {

/// One solve by shooting: corrections sweep by sweep until the states are right.
class ShootingRun {
 public:
  ShootingRun(const sequence::Sequence& chain, sequence::Trajectory& states,
              const ShootingOptions& options, const Monitors& monitors);

  SolveReport solve();

  /// Steps of each chunk that are looked at before a method is chosen.
  static constexpr Index kProbe = 128;

  /// For PETSc's accelerators, which see the starts of the chunks behind this rank's, [C_local, B,
  /// n]: those of the last sweep, and those that this iteration would take next.
  ConstStates used_starts() { return work_.starts().used(); }
  ConstStates following_starts();
  /// A correction that sweeps from these starts instead. False when the solve ends here.
  bool correct_from(ConstStates starts);
  const parallel::Communicator& comm() const { return work_.comm(); }
  int most_corrections() const;

 private:
  plan::ChunkPlan::Method choose();
  bool follow(plan::ChunkPlan::Method method);
  void shoot();
  void propose();
  bool correct();
  bool goes_on(bool moves);
  bool is_right();
  bool is_right_along_the_whole();
  bool record();
  void conclude_sweeps();
  std::string why_not_right() const;
  void conclude_sequential();
  SolveReport finished();
  void add_up_here();

  ShootingOptions options_;
  Monitors monitors_;
  ShootingWork work_;
  Recording recording_;
  Coupling coupling_;
  std::unique_ptr<ChunkCoupling> coupler_;
  PathClock clock_;
  SolveReport report_;
  Stopwatch watch_;
  Assessment assessed_;  ///< where sweeps do not tell what errors grow to
  double tighter_ = 1;   ///< seams are held against this share of the tolerance at first
  double change_ = 0;    ///< largest of this rank's starts in the last correction
  double residual_here_ = 0;
  double largest_here_ = 0;                      ///< state, where steps were done one after another
  bool by_newton_ = false, one_by_one_ = false;  ///< what was chosen instead of sweeps
  bool stuck_ = false;
  bool right_ = false;
  std::string choice_;  ///< in a sentence, on the root
};

}  // namespace deeppcr::nonlinear
