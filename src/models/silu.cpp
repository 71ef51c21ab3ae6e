#include "models/silu.hpp"

#include <cmath>

#ifdef DEEPPCR_HAVE_LIBMVEC
// The vector forms of glibc's libmvec (at most 4 ulp), without -ffast-math. The attribute is what
// <math.h> adds there.
extern "C" {
__attribute__((simd("notinbranch"))) double exp(double) noexcept;
__attribute__((simd("notinbranch"))) float expf(float) noexcept;
}
#endif

namespace deeppcr::models {

namespace {

inline float exponential(float a) { return expf(a); }
inline double exponential(double a) { return exp(a); }
/// Beyond it exp(-a) overflows; silu is zero there to the last bit of what it is added to.
template <typename T>
constexpr T kBound = sizeof(T) == 4 ? T(80) : T(700);

}  // namespace

template <typename T>
void add_silu(Index count, const T* __restrict a, T* __restrict h) {
  for (Index i = 0; i < count; ++i) {
    const T t = a[i] < -kBound<T> ? -kBound<T> : a[i];
    h[i] += t / (1 + exponential(-t));
  }
}

template <typename T>
void add_silu_with_slope(Index count, const T* __restrict a, T* __restrict h, T* __restrict slope) {
  for (Index i = 0; i < count; ++i) {
    const T t = a[i] < -kBound<T> ? -kBound<T> : a[i];
    const T p = 1 / (1 + exponential(-t));
    h[i] += t * p;
    slope[i] = p + t * p * (1 - p);
  }
}

template void add_silu(Index count, const float* a, float* h);
template void add_silu(Index count, const double* a, double* h);
template void add_silu_with_slope(Index count, const float* a, float* h, float* slope);
template void add_silu_with_slope(Index count, const double* a, double* h, double* slope);

}  // namespace deeppcr::models
