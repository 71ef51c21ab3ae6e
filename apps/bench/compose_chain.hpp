#pragma once

#include "deeppcr/core/buffer.hpp"
#include "gemm.hpp"

namespace deeppcr::bench {

/// The composition of a row of dense affine maps d -> A_i d + r_i, i = 0..m-1, of one sample, in
/// single or double precision. Work space and kernels are kept between calls.
template <typename T>
class ComposeChain {
 public:
  explicit ComposeChain(int width)
      : width_(width),
        panel_(Index{width} * (width + 1)),
        other_(panel_.size()),
        product_(width, width + 1, width) {}

  /// [A | r] of the composition, column-major [n x (n + 1)]; valid until the next call.
  /// Shapes: A [m, n, n], each block column-major; r [m, n]. Cost: 2 n^2 (n + 1) m flops.
  const T* operator()(Index m, const T* A, const T* r) {
    const Index n = width_;
    panel_.reset(panel_.size());
    for (Index i = 0; i < n; ++i) panel_[i * n + i] = 1;
    for (Index l = 0; l < m; ++l) {
      // V <- A_l V + [0 | r_l]
      product_(A + l * n * n, panel_.data(), other_.data());
      T* last = other_.data() + n * n;
      for (Index i = 0; i < n; ++i) last[i] += r[l * n + i];
      panel_.swap(other_);
    }
    return panel_.data();
  }

 private:
  int width_;
  Buffer<T> panel_, other_;
  Gemm<T> product_;
};

}  // namespace deeppcr::bench
