#pragma once

#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/chunk_table.hpp"
#include "deeppcr/nonlinear/shooting.hpp"
#include "deeppcr/nonlinear/tolerance.hpp"
#include "nonlinear/chunk_starts.hpp"
#include "nonlinear/chunk_sweep.hpp"

namespace deeppcr::nonlinear {

using linear::ChunkFacts;
using linear::ChunkTable;
using linear::Judgement;
using linear::kRightBelow;
using linear::PathClock;

/// The chunks of one solve by shooting, how far they have been swept, and what all ranks know of
/// them.
class ShootingWork {
 public:
  ShootingWork(const sequence::Sequence& chain, sequence::Trajectory& states,
               const ShootingOptions& options);

  const sequence::Sequence& chain() const { return chain_; }
  sequence::Trajectory& states() { return states_; }
  const parallel::Communicator& comm() const { return states_.comm(); }
  const Chunks& chunks() const { return chunks_; }
  StepRange own() const { return own_; }
  ChunkSweep& sweep() { return sweep_; }
  ChunkStarts& starts() { return starts_; }
  const Tolerance& tolerance() const { return tolerance_; }
  bool is_first_of_chain(Index i) const { return own_.first + i == 0; }

  /// Whether chunks are long enough for the tangents of their sweeps to tell what errors grow to;
  /// else growth is measured along the whole trajectory, in the end.
  bool sweeps_tell_growth() const;
  /// Goes on with the first sweep of all chunks up to so many steps of each.
  void sweep_to(Index steps, bool with_tangents);
  /// Sweeps the chunks again whose start has changed.
  void sweep_changed();

  /// All ranks learn the facts of all chunks. Collective.
  void gather();
  const ChunkTable& table() const { return table_; }
  const Judgement& judgement() const { return judgement_; }
  /// Leading steps whose states are those of sequential execution, bit for bit.
  Index exact_steps() const;
  /// Whether each chunk was swept from the very state that the one before it ends with.
  bool nothing_at_seams() const;
  /// This rank's part of max_l ||f_l(z_{l-1}) - z_l||_inf: behind the first step of a chunk only
  /// merged states have any. Cost: one step a chunk, one message of B n reals to the right; nothing
  /// where nothing_at_seams(). Collective.
  double seam_residual();

  StageTimes stages;
  parallel::Traffic traffic;

 private:
  const sequence::Sequence& chain_;
  sequence::Trajectory& states_;
  Tolerance tolerance_;
  Chunks chunks_;
  StepRange own_;
  ChunkSweep sweep_;
  ChunkStarts starts_;
  ChunkTable table_{{}};
  Judgement judgement_;
};

}  // namespace deeppcr::nonlinear
