#pragma once

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/row_exchange.hpp"

namespace deeppcr::linear {

/// Where a level lives: how rows are spread, and which way the chain is walked.
struct LevelShape {
  parallel::BlockLayout layout;
  Index batch = 1;
  int width = 1;
  Direction direction = Direction::forward;
  Index stride = 1;
};

/// The matrix N of one PCR level: block row l has one n x n block a sample, at block column l -
/// stride (forward) or l + stride (backward, where the transposed chain is kept as its untransposed
/// blocks).
///
///     stride 2, 8 rows on 4 ranks, forward (each rank fetches the rows two to the left):
///     rank 0 [0 1]  rank 1 [2<-0 3<-1]  rank 2 [4<-2 5<-3]  rank 3 [6<-4 7<-5]
///
/// The structure (which rows come from whom, a RowExchange each for blocks and right-hand sides) is
/// set up once; the numbers live in arrays given for each solve.
class LevelMatrix {
 public:
  /// comm must outlive the object.
  LevelMatrix(const parallel::Communicator& comm, const LevelShape& shape);

  /// A level's numbers over this rank's rows: blocks [m, B, n, n], r [m, B, n].
  struct Rows {
    Real* blocks;
    Real* r;
  };
  /// Room for the rows that come from other ranks, for all levels of a solver.
  struct Fetched {
    Buffer<Real> blocks, r;
  };
  /// One level: to.r <- (I + N) r and to.blocks <- N N, block rows fetched while local products
  /// run. Rows of N N that are zero are left as they are. Collective.
  /// Cost: 2 B n^2 (n + 1) flops a row that has a partner.
  void advance(Rows from, Rows to, Fetched& fetched, parallel::Traffic& traffic);

 private:
  Index partner(Index row) const { return row + shift_; }
  bool has_partner(Index row) const { return rows_.contains(row) && rows_.contains(partner(row)); }
  /// One row, in `to`, from its block A and what its partner has; null where that has no block.
  void advance_row(const Real* A, const Real* partner_block, const Real* partner_r, Rows to) const;

  LevelShape shape_;
  StepRange rows_, local_;
  Index shift_;           ///< to a row's partner
  Index column_, block_;  ///< reals of a row
  parallel::RowExchange columns_, blocks_;
  blocks::Product product_;
  blocks::TransposedProduct transposed_product_;
};

}  // namespace deeppcr::linear
