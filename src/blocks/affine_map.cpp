#include "deeppcr/blocks/affine_map.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::blocks {

void set_identity(Panel V) {
  std::fill(V.begin(), V.end(), 0.0);
  for (Index b = 0; b < V.extent(0); ++b)
    for (Index i = 0; i < V.extent(2); ++i) V(b, i, i) = 1.0;
}

AffineMap::AffineMap(Index batch, int width)
    : batch_(batch), width_(width), data_(batch * (width + 1) * width), product_(width, width) {}

void AffineMap::swap(AffineMap& other) noexcept {
  std::swap(batch_, other.batch_);
  std::swap(width_, other.width_);
  data_.swap(other.data_);
  std::swap(product_, other.product_);
}

void AffineMap::compose(const AffineMap& later, const AffineMap& earlier, AffineMap& out) {
  const Index n = later.width_, stride = n * (n + 1);
  for (Index b = 0; b < later.batch_; ++b) {
    const Real* second = later.data_.data() + b * stride;
    Real* result = out.data_.data() + b * stride;
    // [A2 A1 | A2 r1] = A2 [A1 | r1], then + [0 | r2]
    later.product_(second, n + 1, earlier.data_.data() + b * stride, nullptr, result);
    for (Index i = 0; i < n; ++i) result[n * n + i] += second[n * n + i];
  }
}

void AffineMap::apply(ConstState before, State after) const {
  const Index n = width_, stride = n * (n + 1);
  for (Index b = 0; b < batch_; ++b) {
    const Real* map = data_.data() + b * stride;
    product_(map, 1, before.data() + b * n, map + n * n, after.data() + b * n);
  }
}

}  // namespace deeppcr::blocks
