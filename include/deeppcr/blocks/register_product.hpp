#pragma once

#include <type_traits>

#include "deeppcr/core/cache.hpp"
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

  /// start null stands for zero.
  static void add(const Real* A, const Real* x, const Real* start, Vector* y) {
    Sums sums;
    if (start != nullptr) sums.start_from(start);
    for_columns(A, [&](int j, int set, int v, const Vector& a) { sums.of[set][v] += a * x[j]; });
    sums.add_up(y);
  }

  /// Both products; the block is read once.
  static void add_both(const Real* A, const Real* x, const Real* start, const Real* v, Vector* y,
                       Vector* w) {
    Sums sums, images;
    if (start != nullptr) sums.start_from(start);
    for_columns(A, [&](int j, int set, int i, const Vector& a) {
      sums.of[set][i] += a * x[j];
      images.of[set][i] += a * v[j];
    });
    sums.add_up(y);
    images.add_up(w);
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

/// body(std::integral_constant<int, n>) for a width whose sums fit: powers of two up to 64 with
/// AVX-512, 32 with AVX, 16 else. For others, otherwise(). Both return the same type.
template <typename Body, typename Otherwise>
auto with_register_width(int n, Body&& body, Otherwise&& otherwise) {
  const auto attempt = [&](auto width) {
    if constexpr (RegisterProduct<width(), false>::kFits) {
      return body(width);
    } else {
      return otherwise();
    }
  };
  switch (n) {
    case 2:
      return attempt(std::integral_constant<int, 2>{});
    case 4:
      return attempt(std::integral_constant<int, 4>{});
    case 8:
      return attempt(std::integral_constant<int, 8>{});
    case 16:
      return attempt(std::integral_constant<int, 16>{});
    case 32:
      return attempt(std::integral_constant<int, 32>{});
    case 64:
      return attempt(std::integral_constant<int, 64>{});
    default:
      return otherwise();
  }
}

}  // namespace deeppcr::blocks
