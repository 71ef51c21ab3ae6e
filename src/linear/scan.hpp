#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// For Jacobians whose structure says that they are diagonal: the composition of affine maps, whose
/// matrices are here vectors. Forward d_l = m_l .* d_{l-1} + r_l, backward
/// g_l = m_{l+1} .* g_{l+1} + c_l.
///
/// Cost:   4 B n flops a step; ceil(log2 P) messages of 2 B n reals a rank
/// Memory: the diagonals, B n L/P reals
/// Source: Blelloch, Prefix sums and their applications, 1990
class Scan : public LinearSolver {
 public:
  const char* name() const override { return "scan"; }
  Cost cost(const Problem& problem) const override;

 private:
  /// @throws Error for Jacobians with other entries
  void prepare() override;
  void run(Direction direction, ConstStates rhs, States result) override;
  /// The map of this rank's steps, from what enters them to what leaves.
  void compose_own(const Real* diagonals, ConstStates r, Direction direction);

  Buffer<Real> diagonals_;     ///< [m, B, n]
  Buffer<Real> own_, before_;  ///< maps [2, B n]: matrix, then constant
};

}  // namespace deeppcr::linear
