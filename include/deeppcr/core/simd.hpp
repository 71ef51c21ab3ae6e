#pragma once

#include <cstring>

#include "deeppcr/core/types.hpp"

/// Vectors of plain compiler extensions: any instruction set will do. A vector wider than the
/// registers of the build lives in memory, and is many times slower. None of those is to be passed
/// between files: the calling convention follows the build.
namespace deeppcr::simd {

// Spelt out: in a template GCC drops the attribute where its argument depends on a parameter.
using Two = Real __attribute__((vector_size(2 * sizeof(Real))));
using Four = Real __attribute__((vector_size(4 * sizeof(Real))));
using Eight = Real __attribute__((vector_size(8 * sizeof(Real))));

/// A register of the build.
#if defined(__AVX512F__)
using Widest = Eight;
#elif defined(__AVX__)
using Widest = Four;
#else
using Widest = Two;
#endif
/// Vector registers of the build.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

template <typename Vector>
constexpr int kLanes = sizeof(Vector) / sizeof(Real);

template <typename Vector>
Vector load(const Real* x) {
  Vector v;
  std::memcpy(&v, x, sizeof v);
  return v;
}

template <typename Vector>
void store(const Vector& v, Real* x) {
  std::memcpy(x, &v, sizeof v);
}

/// The same number in all lanes.
template <typename Vector>
Vector all(Real x) {
  return Vector{} + x;
}

/// The same value, in a register: where it is used several times GCC would rather read it from
/// memory as often.
template <typename Vector>
Vector in_register(Vector v) {
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

}  // namespace deeppcr::simd
