#pragma once

#include <petscmat.h>

#include <memory>

#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/parallel/row_exchange.hpp"

namespace deeppcr::linear {

/// Where a level lives: the rows that take part, how they are spread, and which way the chain is
/// walked.
struct LevelShape {
  parallel::BlockLayout layout;
  StepRange rows;  ///< rows that take part; those before are final and have no block
  Index batch = 1;
  int width = 1;
  Direction direction = Direction::forward;
  Index stride = 1;
};

/// Room for rows that travel here and one product, shared by all levels of a solver.
struct Workspace {
  Buffer<Real> columns, blocks, product;
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
  /// Collective on comm.
  LevelMatrix(const parallel::Communicator& comm, const LevelShape& shape);

  /// Rows that this rank hands over to others: blocks and columns.
  Index sent_blocks() const { return block_exchange_.sent_rows().size(); }
  Index sent_columns() const { return column_exchange_.sent_rows().size(); }
  /// Where the ranks share a node: rows are read where they are laid down.
  void hand_over_in(parallel::Outbox& blocks, parallel::Outbox& columns);

  /// One level in place: r <- (I + N) r and N <- N N, block rows fetched while local products run.
  /// Shapes: blocks [m, B, n, n], r [m, B, n] over this rank's rows of the layout. With `next`, the
  /// level of twice the stride, which must be advanced next, rows that it hands over are written
  /// where it does so, and `blocks` does not hold them. Cost: 2 B n^2 (n + 1) flops a row that has
  /// a partner.
  void advance(Blocks blocks, States r, Workspace& work, parallel::Traffic& traffic,
               LevelMatrix* next = nullptr);

  /// N itself as a MATMPIBAIJ with one block a block row (the transposed block for `backward`).
  /// Collective.
  petsc::Handle<Mat> assemble(ConstBlocks blocks) const;

 private:
  /// Blocks of this rank's rows, by local index: those that are handed over lie apart.
  struct Rows {
    Real* kept;
    Real* sent;
    StepRange sent_rows;
    Index length;
    Real* operator[](Index i) const { return (sent_rows.contains(i) ? sent : kept) + i * length; }
  };

  bool has_partner(Index row) const;
  bool partner_has_block(Index row) const;
  Index partner(Index row) const;
  /// A row's blocks before and after a level, which may be the same place, and those of its
  /// partner.
  struct Row {
    const Real* A;
    Real* next_A;
    Real* r;
    const Real *partner_block, *partner_r;
  };
  /// Row of local index i.
  void advance_row(Index i, const Row& row, Real* product) const;

  const parallel::Communicator& comm_;
  LevelShape shape_;
  StepRange local_;
  StepRange column_rows_, block_rows_;  ///< rows fetched for r, and for blocks
  parallel::RowExchange column_exchange_, block_exchange_;
  parallel::RowType column_type_, block_type_;
  blocks::Gemm<Real> product_, column_product_;
};

}  // namespace deeppcr::linear
