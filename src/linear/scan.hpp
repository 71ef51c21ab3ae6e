#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// For Jacobians whose structure says that they are diagonal, or 2 x 2 blocks of diagonals: the
/// composition of affine maps, whose matrices are here vectors, or pairs of them. Forward d_l = A_l
/// d_{l-1} + r_l, backward g_l = A_{l+1}^T g_{l+1} + c_l.
///
/// Cost:   4 B n flops a step; ceil(log2 P) messages of 2 B n reals a rank. Pairs: 8 B n flops,
///         messages of 3 B n reals
/// Memory: the diagonals, B n L/P reals; of pairs twice as many
/// Source: Blelloch, Prefix sums and their applications, 1990
class Scan : public LinearSolver {
 public:
  const char* name() const override { return "scan"; }
  /// Of the kind of Jacobians that the last setup() has got; before of diagonals.
  Cost cost(const Problem& problem) const override;
  CriticalPath path(const parallel::BlockLayout& layout) const override;

 private:
  /// @throws Error for Jacobians with other entries
  void prepare() override;
  void run(Direction direction, ConstStates rhs, States result) override;
  /// The map of this rank's steps, from what enters them to what leaves.
  void compose_own(const Real* A, ConstStates r, Direction direction);
  void compose(Real* later, const Real* earlier);

  Index columns() const { return paired_ ? 2 : 1; }  ///< of numbers for each in a state
  void apply(const Real* A, Direction direction, const Real* x, Real* y) const;
  void apply_to_columns(const Real* A, Direction direction, Real* X) const;
  void set_identity(Real* M) const;

  bool paired_ = false;
  Buffer<Real> blocks_;        ///< [m, B, n] or, of pairs, [m, B, 2, n]
  Buffer<Real> own_, before_;  ///< maps: matrix [B, n] or [B, 2, n], then constant [B, n]
  Buffer<Real> product_;
};

}  // namespace deeppcr::linear
