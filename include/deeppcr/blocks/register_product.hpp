#pragma once

#include <algorithm>
#include <type_traits>

#include "deeppcr/core/cache.hpp"
#include "deeppcr/core/multiply_add.hpp"
#include "deeppcr/core/simd.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

namespace detail {

template <int n>
using VectorFor = std::conditional_t<n >= simd::kLanes<simd::Widest>, simd::Widest,
                                     std::conditional_t<n == 4, simd::Four, simd::Two>>;

/// Sums in registers: so many that multiply-adds do not wait for each other.
constexpr int kMostSums = 8;

/// Sums of each of so many vectors that there is room for, four at most; two of two numbers.
constexpr int sets_for(int n, int vectors) {
  const int room = kMostSums / vectors;
  return n > 2 && room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

}  // namespace detail

/// y = start + A x, and w = A v, for a column-major n x n block, left in registers: what Gemv does
/// for the usual widths, for kernels that go on with it. The bits are those of Gemv. kAsks: see
/// BlocksFrom::memory. Cost: 2 n^2 flops a product.
template <int n, bool kAsks>
class RegisterProduct {
 public:
  using Vector = detail::VectorFor<n>;
  static constexpr int kVectors = n / simd::kLanes<Vector>;
  static_assert(n >= 2 && (n & (n - 1)) == 0, "a power of two");
  /// Whether there are registers for the sums of one product; of both.
  static constexpr bool kFits = kVectors <= detail::kMostSums;
  static constexpr bool kBothFit =
      kFits && 2 * detail::sets_for(n, kVectors) * kVectors <= simd::kRegisters * 3 / 4;
  /// Vectors x for whose sums there are registers.
  static constexpr int kSamples =
      std::clamp(simd::kRegisters * 3 / 4 / (detail::sets_for(n, kVectors) * kVectors), 1, 6);

  /// start null stands for zero.
  static void add(const Real* A, const Real* x, const Real* start, Vector* y) {
    Sums sums;
    if (start != nullptr) sums.start_from(start);
    for_columns(A, [&](int j, int set, int v, const Vector& a) {
      sums.of[set][v] = simd::multiply_add(a, x[j], sums.of[set][v]);
    });
    sums.add_up(y);
  }

  /// Both products; the block is read once.
  static void add_both(const Real* A, const Real* x, const Real* start, const Real* v, Vector* y,
                       Vector* w) {
    Sums sums, images;
    if (start != nullptr) sums.start_from(start);
    for_columns(A, [&](int j, int set, int i, const Vector& a) {
      sums.of[set][i] = simd::multiply_add(a, x[j], sums.of[set][i]);
      images.of[set][i] = simd::multiply_add(a, v[j], images.of[set][i]);
    });
    sums.add_up(y);
    images.add_up(w);
  }

  /// y_b = start + A x_b for `count` vectors; the block is read once. Shapes: X, Y [count, n]
  template <int count>
  static void add_several(const Real* A, const Real* X, const Real* start, Real* Y) {
    Sums sums[count];
#pragma GCC unroll 8
    for (int b = 0; b < count; ++b) sums[b].start_from(start);
    for_columns(A, [&](int j, int set, int v, const Vector& loaded) {
      const Vector a = count > 1 ? simd::in_register(loaded) : loaded;
#pragma GCC unroll 8
      for (int b = 0; b < count; ++b)
        sums[b].of[set][v] = simd::multiply_add(a, X[b * n + j], sums[b].of[set][v]);
    });
#pragma GCC unroll 8
    for (int b = 0; b < count; ++b) {
      Vector y[kVectors];
      sums[b].add_up(y);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) simd::store(y[v], Y + b * n + v * kLanes);
    }
  }

 private:
  /// Columns go to so many sums in turn: one alone would wait for each multiply-add.
  static constexpr int kSets = detail::sets_for(n, kVectors);
  static constexpr int kLanes = simd::kLanes<Vector>;

  // Loops over vectors are unrolled: a loop that copies some, GCC would make a copy of memory, and
  // the sums would live there.
  struct Sums {
    Vector of[kSets][kVectors] = {};

    void start_from(const Real* start) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) of[0][v] = simd::load<Vector>(start + v * kLanes);
    }
    void add_up(Vector* y) {
#pragma GCC unroll 4
      for (int half = kSets / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
        for (int s = 0; s < half; ++s) {
#pragma GCC unroll 8
          for (int v = 0; v < kVectors; ++v) of[s][v] += of[s + half][v];
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) y[v] = of[0][v];
    }
  };

  /// Bytes ahead of the columns in use that are asked for where blocks come from memory, into the
  /// second-level cache: the hardware's own look ahead falls behind where there is more to do than
  /// one product, such as an activation or a second one. Of 1 to 64 KiB, about as fast from 4 on.
  static constexpr Index kAhead = 8192;

  /// Asks for what is kAhead behind the v-th vector of a column: once a line, of columns that are
  /// shorter once a column.
  static void ask_ahead(const Real* column, int v) {
    constexpr Index kSize = sizeof(Vector);
    if (v * kSize % kCacheLine == 0)
      prefetch(reinterpret_cast<const char*>(column) + v * kSize + kAhead, kSize);
  }

  /// add(column, its set of sums, v, v-th vector of the column)
  template <typename Add>
  static void for_columns(const Real* A, Add&& add) {
#pragma GCC unroll 4
    for (int j = 0; j < n; j += kSets) {
#pragma GCC unroll 4
      for (int s = 0; s < kSets; ++s, A = simd::in_order(A + n)) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          if constexpr (kAsks) ask_ahead(A, v);
          add(j + s, s, v, simd::load<Vector>(A + v * kLanes));
        }
      }
    }
  }
};

}  // namespace deeppcr::blocks
