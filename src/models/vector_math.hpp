#pragma once

#include "deeppcr/core/simd.hpp"

#ifdef DEEPPCR_HAVE_LIBMVEC
// The vector forms of glibc's libmvec (at most 4 ulp), by the names that x86-64's vector ABI gives
// them for the build's registers.
#if defined(__AVX512F__)
#define DEEPPCR_VECTOR_FORM(function) _ZGVeN8v_##function
#elif defined(__AVX2__)
#define DEEPPCR_VECTOR_FORM(function) _ZGVdN4v_##function
#elif defined(__AVX__)
#define DEEPPCR_VECTOR_FORM(function) _ZGVcN4v_##function
#else
#define DEEPPCR_VECTOR_FORM(function) _ZGVbN2v_##function
#endif
extern "C" {
deeppcr::simd::Widest DEEPPCR_VECTOR_FORM(tanh)(deeppcr::simd::Widest) noexcept;
deeppcr::simd::Widest DEEPPCR_VECTOR_FORM(exp)(deeppcr::simd::Widest) noexcept;
deeppcr::simd::Widest DEEPPCR_VECTOR_FORM(erf)(deeppcr::simd::Widest) noexcept;
}
#else
#include <cmath>
#endif

/// Of a register; in a namespace of its own, since the names would hide those of <cmath>.
namespace deeppcr::models::sigma {

#ifdef DEEPPCR_HAVE_LIBMVEC
inline simd::Widest tanh(simd::Widest a) { return DEEPPCR_VECTOR_FORM(tanh)(a); }
inline simd::Widest exp(simd::Widest a) { return DEEPPCR_VECTOR_FORM(exp)(a); }
inline simd::Widest erf(simd::Widest a) { return DEEPPCR_VECTOR_FORM(erf)(a); }
#undef DEEPPCR_VECTOR_FORM
#else
/// One by one.
template <typename Function>
simd::Widest each(simd::Widest a, Function&& function) {
  for (int i = 0; i < simd::kLanes<simd::Widest>; ++i) a[i] = function(a[i]);
  return a;
}
inline simd::Widest tanh(simd::Widest a) {
  return each(a, [](Real x) { return std::tanh(x); });
}
inline simd::Widest exp(simd::Widest a) {
  return each(a, [](Real x) { return std::exp(x); });
}
inline simd::Widest erf(simd::Widest a) {
  return each(a, [](Real x) { return std::erf(x); });
}
#endif

}  // namespace deeppcr::models::sigma
