#pragma once

#include <memory>

#include "deeppcr/blocks/block_bidiagonal.hpp"
#include "deeppcr/blocks/dense_linearisation.hpp"
#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/shooting.hpp"
#include "nonlinear/chunk_sweep.hpp"

namespace deeppcr::nonlinear {

/// Passes the error of each chunk's start on to the chunks behind it: from the mismatches r_c = end
/// of chunk c - start of chunk c+1 follow the changes of the ends
///     e_c = M_c e_{c-1} + r_c,     of which v_c = M_c e_{c-1} comes on top of the end itself.
class ChunkCoupling {
 public:
  /// All but the coupling must outlive the object. @pre coupling is identity, first_order or dense
  ChunkCoupling(Coupling coupling, const sequence::Sequence& sequence,
                const sequence::Trajectory& trajectory, const Chunks& chunks, ChunkSweep& sweep);

  /// Shapes: r, v [C_local, B, n]. v is exactly zero behind mismatches that are. exact: leading
  /// chunks of the chain that nothing enters. Collective.
  void solve(ConstStates r, States v, Index exact);
  /// What this rank has sent in the last solve.
  const parallel::TrafficByLevel& traffic() const { return traffic_; }
  /// Work on the longest path of one solve, that of forming the M_c included.
  CriticalPath path() const;

 private:
  void form(Index i);
  void sum_blocks(const blocks::Linearisation& J, StepRange steps, Panel M);
  void compose(const blocks::Linearisation& J, StepRange steps, Panel M);

  Coupling coupling_;
  const sequence::Sequence& sequence_;
  const sequence::Trajectory& trajectory_;
  const Chunks& chunks_;
  ChunkSweep& sweep_;
  StepRange own_;  ///< this rank's chunks
  parallel::TrafficByLevel traffic_;
  // For matrices M_c, from the Jacobians at the states of the last sweep; hybrid solves the chain
  // of chunks.
  blocks::DenseLinearisation maps_;
  blocks::BlockBidiagonal chain_;
  std::unique_ptr<linear::LinearSolver> solver_;
  Buffer<Real> starts_, block_;
};

}  // namespace deeppcr::nonlinear
