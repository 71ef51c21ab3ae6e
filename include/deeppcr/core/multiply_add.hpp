#pragma once

#include <type_traits>

#include "deeppcr/core/simd.hpp"

#ifdef __FMA__
#include <immintrin.h>
#endif

namespace deeppcr::simd {

/// a b + c for a number or a vector a, rounded once where the build has an instruction for it. Said
/// outright, since compilers fuse as they please, in one loop and not in the next: GCC avoids
/// chains of fused ones for some processors. Kernels that must give the same bits need the same
/// roundings.
template <typename V>
V multiply_add(V a, Real b, V c) {
#ifdef __FMA__
  if constexpr (std::is_same_v<V, Real>) return __builtin_fma(a, b, c);
  if constexpr (std::is_same_v<V, Two>) return _mm_fmadd_pd(a, _mm_set1_pd(b), c);
  if constexpr (std::is_same_v<V, Four>) return _mm256_fmadd_pd(a, _mm256_set1_pd(b), c);
#ifdef __AVX512F__
  if constexpr (std::is_same_v<V, Eight>) return _mm512_fmadd_pd(a, _mm512_set1_pd(b), c);
#endif
#else
  return a * b + c;
#endif
}

}  // namespace deeppcr::simd
