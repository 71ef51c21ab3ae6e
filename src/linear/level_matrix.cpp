#include "linear/level_matrix.hpp"

#include <algorithm>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/petsc/check.hpp"

namespace deeppcr::linear {

namespace {

/// Rows of other ranks that lie `stride` before this rank's rows (in the direction of the chain),
/// not nearer than `margin` to the chain's beginning.
StepRange rows_to_fetch(const LevelShape& shape, StepRange local, Index margin) {
  const StepRange mine = intersect(local, shape.rows);
  if (mine.empty()) return {};
  if (shape.direction == Direction::forward) {
    return intersect({mine.first - shape.stride, std::min(local.first, mine.last - shape.stride)},
                     {shape.rows.first + margin, shape.rows.last});
  }
  return intersect({std::max(local.last, mine.first + shape.stride), mine.last + shape.stride},
                   {shape.rows.first, shape.rows.last - margin});
}

}  // namespace

LevelMatrix::LevelMatrix(const parallel::Communicator& comm, const LevelShape& shape)
    : comm_(comm),
      shape_(shape),
      local_(shape.layout.range(comm.rank())),
      column_rows_(rows_to_fetch(shape, local_, 0)),
      block_rows_(rows_to_fetch(shape, local_, shape.stride)),
      column_exchange_(comm, shape.layout, column_rows_),
      block_exchange_(comm, shape.layout, block_rows_),
      column_type_(shape.batch * shape.width),
      block_type_(shape.batch * shape.width * shape.width),
      product_(shape.width, shape.width, shape.width, false),
      column_product_(shape.width, 1, shape.width, true) {}

bool LevelMatrix::has_partner(Index row) const {
  return shape_.rows.contains(row) && shape_.rows.contains(partner(row));
}

bool LevelMatrix::partner_has_block(Index row) const { return has_partner(partner(row)); }

Index LevelMatrix::partner(Index row) const {
  return shape_.direction == Direction::forward ? row - shape_.stride : row + shape_.stride;
}

void LevelMatrix::hand_over_in(parallel::Outbox& blocks, parallel::Outbox& columns) {
  block_exchange_.hand_over_in(blocks);
  column_exchange_.hand_over_in(columns);
}

// A row is overwritten once no row is left that reads it: backward from the first row up (row l
// reads l + s), forward from the last run of s rows down (row l reads l - s, of the run before),
// each run in the order of the memory, which brings blocks much faster than the other one. Rows
// that are handed over are written where the next level does so, and stay until that place is
// claimed again.
void LevelMatrix::advance(Blocks blocks, States r, Workspace& work, parallel::Traffic& traffic,
                          LevelMatrix* next) {
  if (block_exchange_.travels()) {
    work.columns.reserve(column_rows_.size() * column_type_.length());
    work.blocks.reserve(block_rows_.size() * block_type_.length());
  }
  work.product.reserve(Index{shape_.width} * shape_.width);
  column_exchange_.begin(r.data(), work.columns.data(), column_type_, traffic);
  block_exchange_.begin(blocks.data(), work.blocks.data(), block_type_, traffic);
  const Index length = block_type_.length();
  const Rows from{blocks.data(), block_exchange_.sent(), block_exchange_.sent_rows(), length};
  Rows to{blocks.data(), nullptr, {}, length};
  if (next != nullptr) {
    DEEPPCR_ASSERT(next->shape_.stride == 2 * shape_.stride, "strides {} and {}", shape_.stride,
                   next->shape_.stride);
    to.sent_rows = next->block_exchange_.sent_rows();
    to.sent = next->block_exchange_.claim(block_type_);
  }
  const auto advance = [&](Index row, const Real* partner_block, const Real* partner_r) {
    const Index i = row - local_.first;
    advance_row(i, {from[i], to[i], r[i].data(), partner_block, partner_r}, work.product.data());
  };
  // Rows whose partner is here are done while the others travel.
  const bool forward = shape_.direction == Direction::forward;
  const Index run = forward ? shape_.stride : local_.size();
  for (Index last = local_.last; last > local_.first; last -= run) {
    for (Index row = std::max(local_.first, last - run); row < last; ++row) {
      if (!has_partner(row) || !local_.contains(partner(row))) continue;
      const Index p = partner(row) - local_.first;
      advance(row, from[p], r[p].data());
    }
  }
  block_exchange_.end();
  column_exchange_.end();
  for (Index p = column_rows_.first; p < column_rows_.last; ++p) {
    advance(forward ? p + shape_.stride : p - shape_.stride,
            block_rows_.contains(p) ? block_exchange_.row(p) : nullptr, column_exchange_.row(p));
  }
  block_exchange_.release();
  column_exchange_.release();
}

void LevelMatrix::advance_row(Index i, const Row& row, Real* product) const {
  const Index n = shape_.width;
  const bool forward = shape_.direction == Direction::forward;
  const bool square = partner_has_block(local_.first + i);
  for (Index b = 0; b < shape_.batch; ++b) {
    const Real *A = row.A + b * n * n, *partner_r = row.partner_r + b * n;
    Real *next_A = row.next_A + b * n * n, *y = row.r + b * n;
    // forward: r_l += A_l r_{l-s}, A_l <- A_l A_{l-s};   backward, blocks kept untransposed:
    // r_l += A_l^T r_{l+s}, A_l <- A_{l+s} A_l
    if (forward) {
      column_product_(A, partner_r, y);
    } else {
      blocks::gemv_transposed_add(shape_.width, A, partner_r, y);
    }
    if (!square) continue;
    const Real* other = row.partner_block + b * n * n;
    Real* image = next_A == A ? product : next_A;
    product_(forward ? A : other, forward ? other : A, image);
    if (image == product) std::copy_n(product, n * n, next_A);
  }
}

petsc::Handle<Mat> LevelMatrix::assemble(ConstBlocks blocks) const {
  const auto n = static_cast<PetscInt>(shape_.width);
  const auto rows = static_cast<PetscInt>(local_.size() * shape_.batch);
  petsc::Handle<Mat> N;
  DEEPPCR_PETSC(MatCreateBAIJ(comm_.get(), n, rows * n, rows * n, PETSC_DETERMINE, PETSC_DETERMINE,
                              1, nullptr, 1, nullptr, N.put()));
  // PETSc reads the column-major blocks by column; the transposed chain's are the same read by row.
  DEEPPCR_PETSC(MatSetOption(N.get(), MAT_ROW_ORIENTED,
                             shape_.direction == Direction::forward ? PETSC_FALSE : PETSC_TRUE));
  for (Index row = local_.first; row < local_.last; ++row) {
    if (!has_partner(row)) continue;
    for (Index b = 0; b < shape_.batch; ++b) {
      const auto at = static_cast<PetscInt>(row * shape_.batch + b);
      const auto column = static_cast<PetscInt>(partner(row) * shape_.batch + b);
      DEEPPCR_PETSC(MatSetValuesBlocked(N.get(), 1, &at, 1, &column,
                                        blocks[row - local_.first][b].data(), INSERT_VALUES));
    }
  }
  DEEPPCR_PETSC(MatAssemblyBegin(N.get(), MAT_FINAL_ASSEMBLY));
  DEEPPCR_PETSC(MatAssemblyEnd(N.get(), MAT_FINAL_ASSEMBLY));
  return N;
}

}  // namespace deeppcr::linear
