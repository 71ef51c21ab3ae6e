#pragma once

#include <algorithm>

#include "blocks/kernels/simd.hpp"
#include "deeppcr/core/processor.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// The table of widths: how a matrix whose rows fill so many vectors is summed over. Columns go to
/// `sets` sums in turn, since one alone would wait for each multiply-add; bits depend on that
/// number, so it depends on nothing but the rows.
constexpr int sets_for(int vectors) { return vectors <= 2 ? 4 : vectors <= 4 ? 2 : 1; }
/// Vectors x for whose sums there are registers, with the rows of A beside them.
constexpr int columns_for(int vectors, int sets) {
  return std::clamp(simd::kRegisters * 3 / 4 / (sets * vectors), 1, 6);
}
/// Rows of more vectors than this are cut into tiles, which have one set.
constexpr int kWholeVectors = 4;
/// The most vectors of rows of a tile, for several columns and for one alone.
constexpr int kTileVectors = simd::kRegisters >= 32 ? 4 : 3, kLoneVectors = 8;

/// A part of a product. Shapes: A [V vectors of rows x inner], x [C, inner], start and y [C, rows].
template <typename T>
struct Tile {
  Index inner, last;  ///< columns of A; first row of the last vector
  const T* A;
  Index lda;  ///< from a column to the next
  const T* x;
  Index ldx;
  const T* start;  ///< may be y; null stands for zero
  Index ld_start;
  T* y;
  Index ldy;
  Index ahead = 0;  ///< from A to what is read next, for those that ask for it
};

/// sum_c = start_c + sum_k A_k x_ck, left in registers. Rows beyond whole vectors are those of one
/// more vector that ends with the last row: some are computed twice, with the same bits. Loops over
/// vectors are unrolled: a loop that copies some, GCC would make a copy of memory. kAsks: for what
/// lies `ahead`, since the hardware's own look ahead falls behind matrices that come from memory.
template <typename T, typename V, int kVectors, int kColumns, int kSets, bool kAsks>
[[gnu::always_inline]] inline void sums(const Tile<T>& t, V (&y)[kColumns][kVectors]) {
  constexpr int kLanes = sizeof(V) / sizeof(T);
  const Index last = t.last, lda = t.lda, ldx = t.ldx;
  const auto row = [last](int v) { return v + 1 < kVectors ? Index{v} * kLanes : last; };
  V sum[kSets][kColumns][kVectors] = {};
  if (t.start != nullptr) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v)
        sum[0][c][v] = simd::load<V>(t.start + c * t.ld_start + row(v));
  }
  const T *A = t.A, *x = t.x;
  const auto add_column = [&](int set) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      if (kAsks && v * Index{sizeof(V)} % kCacheLine == 0)
        prefetch(A + row(v) + t.ahead, sizeof(V));
      V a = simd::load<V>(A + row(v));
      if constexpr (kColumns > 1) a = simd::in_register(a);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c)
        sum[set][c][v] = simd::multiply_add(a, x[c * ldx], sum[set][c][v]);
    }
    A += lda;
    ++x;
  };
  Index k = t.inner;
  for (; k >= kSets; k -= kSets) {
#pragma GCC unroll 4
    for (int s = 0; s < kSets; ++s) add_column(s);
  }
  if constexpr (kSets > 1)
    for (; k > 0; --k) add_column(0);
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
      for (int half = kSets / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
        for (int s = 0; s < half; ++s) sum[s][c][v] += sum[s + half][c][v];
      }
      y[c][v] = sum[0][c][v];
    }
  }
}

/// The same, stored.
template <typename T, typename V, int kVectors, int kColumns, int kSets, bool kAsks>
void multiply(const Tile<T>& t) {
  constexpr int kLanes = sizeof(V) / sizeof(T);
  V y[kColumns][kVectors];
  sums<T, V, kVectors, kColumns, kSets, kAsks>(t, y);
  T* out = t.y;
  const Index last = t.last, ldy = t.ldy;
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      simd::store(y[c][v], out + c * ldy + (v + 1 < kVectors ? Index{v} * kLanes : last));
}

/// body(integral_constant c) for a c in 1 .. most that is known when the program runs.
template <int most, typename Body>
void with_constant(int c, Body&& body) {
  if constexpr (most > 1) {
    if (c < most) return with_constant<most - 1>(c, body);
  }
  body(std::integral_constant<int, most>{});
}

/// multiply() for the columns of a tile, at most kMost at a time; the first of them ask.
template <typename T, typename V, int kVectors, int kMost, int kSets, bool kAsks = false>
void multiply_columns(Tile<T> tile, Index columns) {
  const auto next = [&](int width) {
    tile.x += width * tile.ldx;
    if (tile.start != nullptr) tile.start += width * tile.ld_start;
    tile.y += width * tile.ldy;
    columns -= width;
  };
  if (kAsks && columns >= kMost) {
    multiply<T, V, kVectors, kMost, kSets, true>(tile);
    next(kMost);
  }
  while (columns >= kMost) {
    multiply<T, V, kVectors, kMost, kSets, false>(tile);
    next(kMost);
  }
  if (columns == 0) return;
  with_constant<kMost>(static_cast<int>(columns),
                       [&](auto C) { multiply<T, V, kVectors, C(), kSets, kAsks>(tile); });
}

}  // namespace deeppcr::blocks
