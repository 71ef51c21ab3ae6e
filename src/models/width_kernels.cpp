#include <algorithm>

#include "models/layer_kernels.hpp"

namespace deeppcr::models {

namespace {

// y_c = s .* x_c for columns of one sample; N = n where the compiler knows it, else 0. y may be x.
template <int N>
void scale_run(int n, Index columns, const Real* s, const Real* x, Real* y) {
  const Index length = N > 0 ? N : n;
  for (Index c = 0; c < columns; ++c) {
    // Unrolled early, the loop would not become vector code.
#pragma GCC ivdep
#pragma GCC unroll 1
    for (Index i = 0; i < length; ++i) y[c * length + i] = s[i] * x[c * length + i];
  }
}

// y = sum over columns of x_c
template <int N>
void sum(int n, Index columns, const Real* x, Real* y) {
  const Index length = N > 0 ? N : n;
  std::copy_n(x, length, y);
  for (Index c = 1; c < columns; ++c) {
#pragma GCC ivdep
#pragma GCC unroll 1
    for (Index i = 0; i < length; ++i) y[i] += x[c * length + i];
  }
}

template <int N>
constexpr WidthKernels kKernels{scale_run<N>, sum<N>};

}  // namespace

/// Loops over a few numbers cost more in overhead than in work: the usual widths have their own.
WidthKernels choose_kernels(int n) {
  switch (n) {
    case 1:
      return kKernels<1>;
    case 2:
      return kKernels<2>;
    case 3:
      return kKernels<3>;
    case 4:
      return kKernels<4>;
    case 8:
      return kKernels<8>;
    case 16:
      return kKernels<16>;
    case 32:
      return kKernels<32>;
    case 64:
      return kKernels<64>;
    default:
      return kKernels<0>;
  }
}

}  // namespace deeppcr::models
