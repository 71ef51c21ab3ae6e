#pragma once

#include <petscvec.h>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::sequence {

/// The states z_1..z_L of a chain: local part [L_local, B, n] of a PETSc Vec, where entry i of a
/// rank is the state AFTER step local_steps().step(i). The input z_0 [B, n] is kept by every rank.
///
/// Any layout; the Vec is in the chain's order where the layout is contiguous, and a rank's own
/// where each rank holds all states.
class Trajectory {
 public:
  /// Collective on comm. @throws Error (on all ranks, before any allocation) if L B n is beyond
  /// PETSc's index size
  Trajectory(const parallel::Communicator& comm, parallel::BlockLayout layout, Index batch,
             int width);

  const parallel::Communicator& comm() const { return comm_; }
  const parallel::BlockLayout& layout() const { return layout_; }
  StepSet local_steps() const { return layout_.steps(comm_.rank()); }
  /// @pre layout().is_contiguous()
  StepRange local_range() const { return layout_.range(comm_.rank()); }
  Index batch() const { return batch_; }
  int width() const { return width_; }

  Vec vec() const { return vec_.get(); }

  /// z_0, equal on all ranks.
  State input() { return {input_.data(), {batch_, width_}}; }
  ConstState input() const { return {input_.data(), {batch_, width_}}; }

  /// The local states. A change through states() is announced to PETSc by touched().
  States states() { return {data_, {num_local_, batch_, width_}}; }
  ConstStates states() const { return {data_, {num_local_, batch_, width_}}; }
  void touched();
  /// The state in front of the local ones and these, contiguous, [L_local + 1, B, n]: a copy of
  /// input(), or what the last starts() has fetched. @pre this rank has one range, or none
  States with_front();
  /// The same of a rank that holds every step.
  States whole();
  /// The states that the local steps start from, [L_local, B, n]. Collective; one message to the
  /// right, of B n reals for each of a rank's ranges; none where the layout is replicated.
  ///
  /// Where a rank has one range: the left neighbour's last state, then the own ones but the last,
  /// in the memory of states(). Else a copy, which the next call replaces.
  ConstStates starts(parallel::Traffic& traffic) const;

  /// Every state becomes a copy of z_0, or zero, or normal numbers by global index.
  void fill_with_input();
  void fill_with_zero();
  void fill_with_noise(std::uint64_t seed);

 private:
  const parallel::Communicator& comm_;
  parallel::BlockLayout layout_;
  Index batch_;
  int width_;
  Index num_local_;  ///< steps
  Buffer<Real> input_;
  Buffer<Real> values_;  ///< room for the left neighbour's last state, then the local states
  mutable Buffer<Real> starts_;  ///< where a rank has several ranges
  Real* data_ = nullptr;         ///< the first local state
  petsc::Handle<Vec> vec_;
};

/// @throws Error on all ranks when L * B * n elements are more than this PETSc build can index
void check_index_size(Index num_steps, Index batch, int width);

}  // namespace deeppcr::sequence
