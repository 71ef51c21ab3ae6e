#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

/// Substitution, rank after rank: the oracle for the others, and the baseline.
/// Cost: 2 B n^2 L flops one after another; P - 1 messages of B n reals.
class Sequential : public LinearSolver {
 public:
  const char* name() const override { return "sequential"; }
  bool substitutes_once() const override { return true; }
  bool walks_in_a_row() const override { return true; }
  Cost cost(const Problem& problem) const override;
  CriticalPath path(const parallel::BlockLayout& layout) const override;

 private:
  void prepare() override;
  void run(Direction direction, ConstStates rhs, States result) override;

  Buffer<Real> carry_;
};

}  // namespace deeppcr::linear
