#include "linear/level_matrix.hpp"

#include <algorithm>

namespace deeppcr::linear {

namespace {

/// Rows that are not nearer than `margin` to the beginning of the chain in its direction.
StepRange behind(const LevelShape& shape, Index margin) {
  const Index steps = shape.layout.num_steps();
  return shape.direction == Direction::forward ? StepRange{margin, steps}
                                               : StepRange{0, steps - margin};
}

}  // namespace

LevelMatrix::LevelMatrix(const parallel::Communicator& comm, const LevelShape& shape)
    : shape_(shape),
      rows_{0, shape.layout.num_steps()},
      local_(shape.layout.range(comm.rank())),
      shift_(shape.direction == Direction::forward ? -shape.stride : shape.stride),
      column_(shape.batch * shape.width),
      block_(column_ * shape.width),
      columns_(comm, shape.layout, shift_, behind(shape, 0), column_),
      blocks_(comm, shape.layout, shift_, behind(shape, shape.stride), block_),
      product_(shape.width, shape.width),
      transposed_product_(shape.width, shape.width) {}

void LevelMatrix::advance(Rows from, Rows to, Fetched& fetched, parallel::Traffic& traffic) {
  fetched.r.reserve(columns_.wanted().size() * column_);
  fetched.blocks.reserve(blocks_.wanted().size() * block_);
  columns_.begin(from.r, fetched.r.data(), traffic);
  blocks_.begin(from.blocks, fetched.blocks.data(), traffic);
  const auto advance = [&](Index row, const Real* partner_block, const Real* partner_r) {
    const Index i = row - local_.first;
    advance_row(from.blocks + i * block_, partner_block, partner_r,
                {to.blocks + i * block_, to.r + i * column_});
  };
  std::copy_n(from.r, local_.size() * column_, to.r);
  // Rows whose partner is here are done while the others travel.
  for (Index row = local_.first; row < local_.last; ++row) {
    if (!has_partner(row) || !local_.contains(partner(row))) continue;
    const Index p = partner(row) - local_.first;
    advance(row, has_partner(partner(row)) ? from.blocks + p * block_ : nullptr,
            from.r + p * column_);
  }
  columns_.end();
  blocks_.end();
  const StepRange with_block = blocks_.wanted();
  for (Index p = columns_.wanted().first; p < columns_.wanted().last; ++p) {
    const Real* block =
        with_block.contains(p) ? fetched.blocks.data() + (p - with_block.first) * block_ : nullptr;
    advance(p - shift_, block, fetched.r.data() + (p - columns_.wanted().first) * column_);
  }
}

// forward: r_l += A_l r_{l-s}, A_l <- A_l A_{l-s};   backward, blocks kept untransposed:
// r_l += A_l^T r_{l+s}, A_l <- A_{l+s} A_l
void LevelMatrix::advance_row(const Real* A, const Real* partner_block, const Real* partner_r,
                              Rows to) const {
  const Index n = shape_.width, square = n * n;
  const bool forward = shape_.direction == Direction::forward;
  for (Index b = 0; b < shape_.batch; ++b, A += square) {
    const Real* x = partner_r + b * n;
    if (forward) {
      product_.add(A, 1, x, to.r + b * n, to.r + b * n);
    } else {
      transposed_product_(A, 1, x, to.r + b * n, to.r + b * n);
    }
    if (partner_block == nullptr) continue;
    const Real* other = partner_block + b * square;
    product_(forward ? A : other, n, forward ? other : A, nullptr, to.blocks + b * square);
  }
}

}  // namespace deeppcr::linear
