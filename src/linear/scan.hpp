#pragma once

#include <memory>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/diagonal_scan.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// DiagonalScan as a solver of chains: for Jacobians whose structure says that they are diagonal.
///
/// Cost:   4 B n flops a step; ceil(log2 P) messages of 2 B n reals a rank
/// Memory: the diagonals, B n L/P reals
class Scan : public LinearSolver {
 public:
  const char* name() const override { return "scan"; }
  Cost cost(const Problem& problem) const override;

 private:
  /// @throws Error for Jacobians with other entries
  void prepare() override;
  void run(Direction direction, ConstStates rhs, States result) override;

  std::unique_ptr<DiagonalScan> scan_;
  Buffer<Real> diagonals_;  ///< [m, B, n]
};

}  // namespace deeppcr::linear
