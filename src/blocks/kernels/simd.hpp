#pragma once

#include <cstring>
#include <type_traits>

#include "deeppcr/core/types.hpp"

#ifdef __FMA__
#include <immintrin.h>
#endif

/// Vectors of plain compiler extensions: any instruction set will do. A vector wider than the
/// registers of the build lives in memory, and is many times slower. None of those is to be passed
/// between files: the calling convention follows the build.
namespace deeppcr::blocks::simd {

// Bytes of a vector register of the build, and how many of those there are.
#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

template <typename T, int lanes>
struct Lanes {
  typedef T Type __attribute__((vector_size(lanes * sizeof(T))));
};
template <typename T>
struct Lanes<T, 1> {
  using Type = T;
};
/// So many numbers; one alone is a plain number.
template <typename T, int lanes>
using Vector = typename Lanes<T, lanes>::Type;
/// A register of the build.
template <typename T>
constexpr int kWidest = kBytes / static_cast<int>(sizeof(T));
template <typename T>
using Widest = Vector<T, kWidest<T>>;

template <typename V>
V load(const void* x) {
  V v;
  std::memcpy(&v, x, sizeof v);
  return v;
}

template <typename V>
void store(const V& v, void* x) {
  std::memcpy(x, &v, sizeof v);
}

/// The same number in all lanes.
template <typename V>
V all(Real x) {
  if constexpr (std::is_arithmetic_v<V>) {
    return static_cast<V>(x);
  } else {
    return V{} + static_cast<std::remove_reference_t<decltype(V{}[0])>>(x);
  }
}

/// a b + c for a number or a vector a, rounded once where the build has an instruction for it. Said
/// outright, since compilers fuse as they please, in one loop and not in the next: GCC avoids
/// chains of fused ones for some processors. Kernels that must give the same bits need the same
/// roundings.
template <typename V, typename T>
V multiply_add(V a, T b, V c) {
#ifdef __FMA__
  if constexpr (std::is_same_v<V, double>) return __builtin_fma(a, b, c);
  if constexpr (std::is_same_v<V, Vector<double, 2>>) return _mm_fmadd_pd(a, _mm_set1_pd(b), c);
  if constexpr (std::is_same_v<V, Vector<double, 4>>)
    return _mm256_fmadd_pd(a, _mm256_set1_pd(b), c);
  if constexpr (std::is_same_v<V, Vector<float, 8>>)
    return _mm256_fmadd_ps(a, _mm256_set1_ps(b), c);
#ifdef __AVX512F__
  if constexpr (std::is_same_v<V, Vector<double, 8>>)
    return _mm512_fmadd_pd(a, _mm512_set1_pd(b), c);
  if constexpr (std::is_same_v<V, Vector<float, 16>>)
    return _mm512_fmadd_ps(a, _mm512_set1_ps(b), c);
#endif
#else
  return a * b + c;
#endif
}

/// The same value, in a register: where it is used several times GCC would rather read it from
/// memory as often.
template <typename V>
V in_register(V v) {
#if defined(__x86_64__)
  __asm__("" : "+v"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
  return v;
}

/// The same address, unknown to the compiler: it cannot read the column there before the ones
/// already used. Blocks from memory come fastest from one end to the other.
inline const Real* in_order(const Real* column) {
  __asm__("" : "+r"(column));
  return column;
}

}  // namespace deeppcr::blocks::simd
