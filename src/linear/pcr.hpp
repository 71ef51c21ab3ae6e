#pragma once

#include <memory>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/linear/linear_solver.hpp"

namespace deeppcr::linear {

class PcrLevels;

/// Parallel cyclic reduction over the steps themselves, the paper's method:
///
///     for s = 1, 2, 4, .. < L, all l >= s at once:   r_l += A_l r_{l-s};   A_l <- A_l A_{l-s}
///
/// With N the strictly lower block matrix of the A_l a level is r <- (I + N) r, N <- N N: repeated
/// squaring of a nilpotent matrix, (I - N)^-1 = prod_k (I + N^(2^k)). Every level is a LevelMatrix,
/// kept while layout and sizes stay.
///
/// Cost:   2 B n^3 (L/P) log2 L flops; ceil(log2 L) levels. Backward: one halo of B n reals a rank
/// on top. Memory: the blocks, B n^2 L/P reals; on one node up to twice as much in each direction
/// that was solved in, for the rows that are handed over; else those that are sent at each level
/// and those that arrive. Destruction is collective.
///
/// Source: DeepPCR, arXiv 2309.16318, sec. 3 and alg. 1
class Pcr : public LinearSolver {
 public:
  Pcr();
  ~Pcr() override;
  const char* name() const override { return "pcr"; }
  void setup(const blocks::BlockBidiagonal& J) override;
  void solve(ConstStates r, States d) override;
  void solve_transpose(ConstStates c, States g) override;
  Cost cost(const Problem& problem) const override;
  CriticalPath path(const parallel::BlockLayout& layout) const override;
  double memory(const Problem& problem) const override;
  double largest_message(const Problem& problem) const override;

 private:
  std::unique_ptr<PcrLevels> make_levels(Direction direction) const;
  /// Solves x = N x + rhs from rhs in columns_; returns where x is.
  States reduce(PcrLevels& levels);
  bool same_structure(const blocks::BlockBidiagonal& J) const;

  const blocks::BlockBidiagonal* J_ = nullptr;
  const parallel::Communicator* comm_ = nullptr;  ///< what the levels were made for: this,
  MPI_Comm handle_ = MPI_COMM_NULL;               ///< this,
  Problem shape_;                                 ///< and this
  std::unique_ptr<PcrLevels> forward_, backward_;
  Buffer<Real> blocks_, columns_;
};

}  // namespace deeppcr::linear
