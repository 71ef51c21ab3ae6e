#include "deeppcr/blocks/dense_linearisation.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::blocks {

DenseLinearisation::DenseLinearisation(StepRange range, Index batch, int width)
    : range_(range),
      batch_(batch),
      width_(width),
      blocks_(range.size() * batch * width * width),
      product_(width, width),
      transposed_product_(width, width) {}

void DenseLinearisation::product(Index l, Direction direction, ConstPanel V, Panel W) const {
  const Index columns = V.extent(1), size = columns * width_;
  for (Index b = 0; b < batch_; ++b) {
    const Real *A = block(l, b), *v = V.data() + b * size;
    Real* w = W.data() + b * size;
    if (direction == Direction::forward) {
      product_(A, columns, v, nullptr, w);
    } else {
      transposed_product_(A, columns, v, nullptr, w);
    }
  }
}

void DenseLinearisation::blocks(StepRange range, Blocks A) const {
  DEEPPCR_ASSERT(range_.first <= range.first && range.last <= range_.last, "[{}, {}) of [{}, {})",
                 range.first, range.last, range_.first, range_.last);
  std::copy(block(range.first, 0), block(range.last, 0), A.data());
}

}  // namespace deeppcr::blocks
