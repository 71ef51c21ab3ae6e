#pragma once

#include <memory>
#include <vector>

#include "deeppcr/linear/linear_solver.hpp"
#include "linear/level_matrix.hpp"

namespace deeppcr::linear {

/// Parallel cyclic reduction over the steps themselves, the paper's method:
///
///     for s = 1, 2, 4, .. < L, all l >= s at once:   r_l += A_l r_{l-s};   A_l <- A_l A_{l-s}
///
/// With N the strictly lower block matrix of the A_l a level is r <- (I + N) r, N <- N N: repeated
/// squaring of a nilpotent matrix, (I - N)^-1 = prod_k (I + N^(2^k)). Every level is a LevelMatrix,
/// kept while layout and sizes stay.
///
/// Cost:   2 B n^3 (L/P) log2 L flops; ceil(log2 L) levels, between two arrays in turns. Backward:
///         one halo of B n reals a rank on top.
/// Memory: the blocks twice, 2 B n^2 L/P reals, and those that are sent and arrive at each level.
///
/// Source: DeepPCR, arXiv 2309.16318, sec. 3 and alg. 1
class Pcr : public LinearSolver {
 public:
  const char* name() const override { return "pcr"; }
  Cost cost(const Problem& problem) const override;
  CriticalPath path(const parallel::BlockLayout& layout) const override;

 private:
  void prepare() override;
  void run(Direction direction, ConstStates rhs, States result) override;
  void solve_forward(ConstStates r, States d);
  void solve_backward(ConstStates c, States g);

  using Levels = std::vector<std::unique_ptr<LevelMatrix>>;
  /// Those of every stride.
  Levels make_levels(Direction direction) const;
  /// Solves x = N x + rhs from rhs in columns_[0]; returns x.
  States reduce(Direction direction);

  const parallel::Communicator* comm_ = nullptr;  ///< what the levels were made for: this,
  MPI_Comm handle_ = MPI_COMM_NULL;               ///< this,
  Problem shape_;                                 ///< and this
  Levels forward_, backward_;
  Buffer<Real> blocks_[2], columns_[2];  ///< a level's numbers, and those of the next
  LevelMatrix::Fetched fetched_;
};

}  // namespace deeppcr::linear
