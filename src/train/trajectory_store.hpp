#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// The last trajectories of some samples, for Newton's start: samples are independent, so it does
/// not matter in which batch they come again. Keeps samples 0..kept-1, each on the data ranks that
/// have met it.
class TrajectoryStore {
 public:
  /// Memory: kept (n + 1) reals for each local step.
  TrajectoryStore(const parallel::ProcessGrid& grid, Index num_steps, const StepSet& local,
                  int width, Index kept);

  /// Puts what is known into states [L_local, B, n]; the rest stays. samples [B].
  void load(const Index* samples, States states) const;
  void keep(const Index* samples, ConstStates states);

  /// One row for each data rank and step: first whether each sample is known, then its states.
  StoredArray array();

 private:
  Index kept_, width_, row_;
  StepSet rows_;  ///< of this rank, of all data ranks' steps
  Index num_rows_;
  Buffer<Real> values_;  ///< [L_local, kept (n + 1)]
};

}  // namespace deeppcr::train
