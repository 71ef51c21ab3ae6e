#pragma once

#include <memory>

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
  virtual ~ChunkCoupling() = default;
  /// Shapes: r, v [C_local, B, n]. v is exactly zero behind mismatches that are. exact: leading
  /// chunks of the chain that nothing enters. Collective.
  virtual void solve(ConstStates r, States v, Index exact) = 0;
  /// What this rank has sent in the last solve.
  virtual parallel::TrafficByLevel traffic() const = 0;
  /// Work on the longest path of one solve, that of forming the M_c included.
  virtual CriticalPath path() const = 0;
};

/// @pre coupling is identity, first_order or dense
std::unique_ptr<ChunkCoupling> make_coupling(Coupling coupling, const sequence::Sequence& sequence,
                                             const sequence::Trajectory& trajectory,
                                             const Chunks& chunks, ChunkSweep& sweep);

}  // namespace deeppcr::nonlinear
