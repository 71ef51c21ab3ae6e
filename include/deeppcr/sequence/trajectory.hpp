#pragma once

#include <petscvec.h>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::sequence {

/// The states z_1..z_L of a chain: local part [L_local, B, n] of a PETSc Vec, where entry i of rank
/// p is the state AFTER step first + i. The input z_0 [B, n] is kept by every rank.
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
  States states() { return {data_, {local_range().size(), batch_, width_}}; }
  ConstStates states() const { return {data_, {local_range().size(), batch_, width_}}; }
  void touched();
  /// The states that the local steps start from, [L_local, B, n]: the left neighbour's last, then
  /// the own ones but the last, in the memory of states(). Collective; one message of B n reals to
  /// the right.
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
  Buffer<Real> input_;
  Buffer<Real> values_;   ///< room for the left neighbour's last state, then the local states
  Real* data_ = nullptr;  ///< the first local state
  petsc::Handle<Vec> vec_;
};

/// @throws Error on all ranks when L * B * n elements are more than this PETSc build can index
void check_index_size(Index num_steps, Index batch, int width);

}  // namespace deeppcr::sequence
