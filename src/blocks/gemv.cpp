// Kernels of vectors as wide as the build's registers, with as many sums as fit into them.
#include "deeppcr/blocks/gemv.hpp"

#include <cstring>

#include "deeppcr/blocks/register_product.hpp"
#include "deeppcr/blocks/register_width.hpp"
#include "deeppcr/core/cache.hpp"
#include "deeppcr/core/multiply_add.hpp"
#include "deeppcr/core/simd.hpp"

namespace deeppcr::blocks {

namespace {

/// y = start + sum_c A_c x_c for columns [0, kColumns) and rows [0, kRows), in the order of the
/// columns; as many rows as sums fit into the registers.
template <int kColumns>
struct Tile {
  static constexpr int kSums = detail::kMostSums, kLanes = simd::kLanes<simd::Widest>,
                       kRows = kSums * kLanes;

  static void add(int n, const Real* A, const Real* x, const Real* start, Real* y) {
    simd::Widest sum[kSums];
    for (int v = 0; v < kSums; ++v) sum[v] = simd::load<simd::Widest>(start + v * kLanes);
    for (int c = 0; c < kColumns; ++c, A += n)
      for (int v = 0; v < kSums; ++v)
        sum[v] = simd::multiply_add(simd::load<simd::Widest>(A + v * kLanes), x[c], sum[v]);
    for (int v = 0; v < kSums; ++v) simd::store(sum[v], y + v * kLanes);
  }

  /// The same for `rows` rows.
  static void add_some(int rows, int n, const Real* A, const Real* x, const Real* start, Real* y) {
#pragma GCC ivdep
    for (int i = 0; i < rows; ++i) {
      Real sum = start[i];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) sum = simd::multiply_add(A[Index{c} * n + i], x[c], sum);
      y[i] = sum;
    }
  }
};

/// body(tile, first column) for eight columns at a time and then one by one.
template <typename Body>
void for_columns(int n, Body&& body) {
  int j = 0;
  for (; j + 8 <= n; j += 8) body(Tile<8>{}, j);
  for (; j < n; ++j) body(Tile<1>{}, j);
}

/// body(rows, first row): kRows at a time, and the rest.
template <typename Tile, typename Body>
void for_rows(Tile, int n, Body&& body) {
  int i = 0;
  for (; i + Tile::kRows <= n; i += Tile::kRows) body(Tile::kRows, i);
  if (i < n) body(n - i, i);
}

/// Asks for the tile to the right of one whose first entry is A, in blocks that lie behind each
/// other.
template <int kColumns>
void ask_for_next(Tile<kColumns>, int rows, int n, const Real* A) {
  A += Index{kColumns} * n;
  for (int c = 0; c < kColumns; ++c, A += n) prefetch(A, rows * Index{sizeof(Real)});
}

template <typename Tile>
void add_rows(Tile, int rows, int n, const Real* A, const Real* x, const Real* start, Real* y) {
  if (rows == Tile::kRows) {
    Tile::add(n, A, x, start, y);
  } else {
    Tile::add_some(rows, n, A, x, start, y);
  }
}

// y = start + A x for any n. Tile by tile: several columns are on their way from memory at once,
// and y stays in the first-level cache.
template <bool kAsks>
void by_tiles(int n, const Real* A, const Real* x, const Real* start, Real* y) {
  for_columns(n, [&](auto tile, int j) {
    for_rows(tile, n, [&](int rows, int i) {
      if constexpr (kAsks) ask_for_next(tile, rows, n, A + Index{j} * n + i);
      add_rows(tile, rows, n, A + Index{j} * n + i, x + j, start + i, y + i);
    });
    start = y;
  });
}

// y = start + A x with the sums in registers; start null stands for zero.
template <int n, bool kAsks>
void in_registers(int, const Real* A, const Real* x, const Real* start, Real* y) {
  using Product = RegisterProduct<n, kAsks>;
  typename Product::Vector sum[Product::kVectors];
  Product::add(A, x, start, sum);
#pragma GCC unroll 8
  for (int v = 0; v < Product::kVectors; ++v)
    simd::store(sum[v], y + v * simd::kLanes<typename Product::Vector>);
}

// y = start + A x and w = A v; each tile comes from the first-level cache the second time.
template <bool kAsks>
void pair_by_tiles(int n, const GemvPair::Operands& o) {
  const Real* start = o.start;
  std::memset(o.w, 0, static_cast<std::size_t>(n) * sizeof(Real));
  for_columns(n, [&](auto tile, int j) {
    for_rows(tile, n, [&](int rows, int i) {
      const Real* A = o.A + Index{j} * n + i;
      if constexpr (kAsks) ask_for_next(tile, rows, n, A);
      add_rows(tile, rows, n, A, o.x + j, start + i, o.y + i);
      add_rows(tile, rows, n, A, o.v + j, o.w + i, o.w + i);
    });
    start = o.y;
  });
}

// y = start + A x and w = A v, one behind the other: so short a block is still near the core.
template <int n, bool kAsks>
void pair_in_registers(int, const GemvPair::Operands& o) {
  in_registers<n, kAsks>(n, o.A, o.x, o.start, o.y);
  in_registers<n, false>(n, o.A, o.v, nullptr, o.w);
}

struct Kernels {
  void (*one)(int, const Real*, const Real*, const Real*, Real*);
  void (*pair)(int, const GemvPair::Operands&);
};

/// One table, since Gemv and GemvPair must sum in the same order.
template <bool kAsks>
Kernels kernels_for(int n) {
  return with_register_width(
      n,
      [](auto width) -> Kernels {
        return {in_registers<width(), kAsks>, pair_in_registers<width(), kAsks>};
      },
      []() -> Kernels {
        return {by_tiles<kAsks>, pair_by_tiles<kAsks>};
      });
}
Kernels kernels_for(int n, BlocksFrom where) {
  return where == BlocksFrom::memory ? kernels_for<true>(n) : kernels_for<false>(n);
}

}  // namespace

Gemv::Gemv(int n, BlocksFrom where) : kernel_(kernels_for(n, where).one), n_(n) {}

GemvPair::GemvPair(int n, BlocksFrom where) : kernel_(kernels_for(n, where).pair), n_(n) {}

}  // namespace deeppcr::blocks
