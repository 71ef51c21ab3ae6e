#pragma once

#include "blocks/kernels/simd.hpp"

#ifdef DEEPPCR_HAVE_LIBMVEC
// The vector forms of glibc's libmvec (at most 4 ulp), by the names that x86-64's vector ABI gives
// them for the build's registers of double and of float.
#if defined(__AVX512F__)
#define DEEPPCR_OF_DOUBLE(function) _ZGVeN8v_##function
#define DEEPPCR_OF_FLOAT(function) _ZGVeN16v_##function
#elif defined(__AVX2__)
#define DEEPPCR_OF_DOUBLE(function) _ZGVdN4v_##function
#define DEEPPCR_OF_FLOAT(function) _ZGVdN8v_##function
#elif defined(__AVX__)
#define DEEPPCR_OF_DOUBLE(function) _ZGVcN4v_##function
#define DEEPPCR_OF_FLOAT(function) _ZGVcN8v_##function
#else
#define DEEPPCR_OF_DOUBLE(function) _ZGVbN2v_##function
#define DEEPPCR_OF_FLOAT(function) _ZGVbN4v_##function
#endif
#define DEEPPCR_OF(T) deeppcr::blocks::simd::Widest<T>
extern "C" {
DEEPPCR_OF(double) DEEPPCR_OF_DOUBLE(tanh)(DEEPPCR_OF(double)) noexcept;
DEEPPCR_OF(double) DEEPPCR_OF_DOUBLE(exp)(DEEPPCR_OF(double)) noexcept;
DEEPPCR_OF(double) DEEPPCR_OF_DOUBLE(erf)(DEEPPCR_OF(double)) noexcept;
DEEPPCR_OF(float) DEEPPCR_OF_FLOAT(expf)(DEEPPCR_OF(float)) noexcept;
}
#undef DEEPPCR_OF
#else
#include <cmath>
#endif

/// Of a register; in a namespace of its own, since the names would hide those of <cmath>.
namespace deeppcr::blocks::sigma {

using Doubles = simd::Widest<double>;
using Floats = simd::Widest<float>;

#ifdef DEEPPCR_HAVE_LIBMVEC
inline Doubles tanh(Doubles a) { return DEEPPCR_OF_DOUBLE(tanh)(a); }
inline Doubles exp(Doubles a) { return DEEPPCR_OF_DOUBLE(exp)(a); }
inline Doubles erf(Doubles a) { return DEEPPCR_OF_DOUBLE(erf)(a); }
inline Floats exp(Floats a) { return DEEPPCR_OF_FLOAT(expf)(a); }
#undef DEEPPCR_OF_DOUBLE
#undef DEEPPCR_OF_FLOAT
#else
/// One by one.
template <typename V, typename Function>
V each(V a, Function&& function) {
  constexpr int kLanes = sizeof(V) / sizeof(a[0]);
  for (int i = 0; i < kLanes; ++i) a[i] = function(a[i]);
  return a;
}
template <typename V>
V tanh(V a) {
  return each(a, [](auto x) { return std::tanh(x); });
}
template <typename V>
V exp(V a) {
  return each(a, [](auto x) { return std::exp(x); });
}
template <typename V>
V erf(V a) {
  return each(a, [](auto x) { return std::erf(x); });
}
#endif

}  // namespace deeppcr::blocks::sigma
