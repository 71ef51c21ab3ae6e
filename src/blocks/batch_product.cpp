// Kernels of vectors as wide as the build's registers. Rows beyond whole vectors are those of one
// more vector that ends with the last row: some rows are computed twice, with the same bits.
#include "deeppcr/blocks/batch_product.hpp"

#include <algorithm>
#include <type_traits>

#include "deeppcr/blocks/register_product.hpp"
#include "deeppcr/blocks/register_width.hpp"
#include "deeppcr/core/multiply_add.hpp"
#include "deeppcr/core/simd.hpp"

namespace deeppcr::blocks {

namespace {

using Kernel = BatchProduct::Kernel;

struct Operands {
  int rows, columns;
  Index batch;
  const Real *A, *X, *start;
  Real* Y;
};

/// The body as a kernel. For small products a call takes as long as the sums: arguments stay in
/// registers, and what the body calls is inlined.
template <void (*body)(const Operands&)>
[[gnu::flatten]] void kernel(const BatchProduct& product, Index batch, const Real* A, const Real* X,
                             const Real* start, Real* Y) {
  body({product.rows(), product.columns(), batch, A, X, start, Y});
}

/// Sums of so many vectors of rows by so many columns fit into the registers, with the rows of A
/// beside them. Six columns are 5 % slower than four where both fit.
constexpr bool kManyRegisters = simd::kRegisters >= 32;
constexpr int kTileVectors = kManyRegisters ? 4 : 3, kTileColumns = 4;
constexpr int kNarrowColumns = kManyRegisters ? 8 : 4;
/// From so many rows on, and at the widths of a register, Gemv is faster for one vector; below, up
/// to five times slower.
constexpr int kGemvFrom = 32;
/// From so many rows on it pays to ask for a tile of A that comes from memory; below, where all of
/// A is a few kilobytes, it costs up to a quarter.
constexpr int kAskFrom = 48;
/// So many columns of A, by so many vectors x, are gone through before the next ones: a tile of A
/// stays in the first-level cache.
constexpr int kInner = 96, kBlock = 64;

/// The length of the next part of what is left: none above `most`, none much shorter than others.
constexpr int next_part(int left, int most) {
  return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

/// A tile of a product. Shapes: A [V vectors of rows x inner], x [C, inner], start and y [C, rows].
struct Tile {
  Index inner, last;  ///< columns of A; first row of the last vector
  const Real* A;
  Index lda;
  const Real* x;
  Index ldx;
  const Real* start;
  Index ld_start;
  Real* y;
  Index ldy;
  Index ahead = 0;  ///< from A to the tile that comes next
};

// y_c = start_c + sum_k A_k x_ck in the order of k; start may be y. kAsks: for the next tile of A.
template <typename Vector, int V, int C, bool kAsks = false>
void multiply(const Tile& t) {
  constexpr int kLanes = simd::kLanes<Vector>;
  const Index last = t.last, lda = t.lda, ldx = t.ldx, ldy = t.ldy;
  const auto row = [last](int v) { return v + 1 < V ? Index{v} * kLanes : last; };
  Real* y = t.y;
  Vector sum[C][V];
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[c][v] = simd::load<Vector>(t.start + c * t.ld_start + row(v));
  const Real *A = t.A, *x = t.x, *const end = x + t.inner;
  do {
    if constexpr (kAsks) prefetch(A + t.ahead, V * Index{sizeof(Vector)});
    Vector a[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      a[v] = simd::load<Vector>(A + row(v));
      if constexpr (C > 1) a[v] = simd::in_register(a[v]);
    }
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const Real xc = x[c * ldx];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[c][v] = simd::multiply_add(a[v], xc, sum[c][v]);
    }
    A += lda;
  } while (++x != end);
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) simd::store(sum[c][v], y + c * ldy + row(v));
}

/// For 1 to kTileColumns columns.
using TileKernel = void (*)(const Tile&);
template <typename Vector, int V, bool kAsks>
constexpr TileKernel kTiles[kTileColumns] = {
    multiply<Vector, V, 1, kAsks>, multiply<Vector, V, 2, kAsks>, multiply<Vector, V, 3, kAsks>,
    multiply<Vector, V, 4, kAsks>};

template <typename Vector, bool kAsks>
const TileKernel* kernels_for(int vectors) {
  if (vectors == 1) return kTiles<Vector, 1, kAsks>;
  // Rows of shorter vectors are fewer than those of the widest.
  if (vectors == 2 || !std::is_same_v<Vector, simd::Widest>) return kTiles<Vector, 2, kAsks>;
  return vectors == 3 ? kTiles<simd::Widest, 3, kAsks> : kTiles<simd::Widest, kTileVectors, kAsks>;
}

/// A tile of A, of so many vectors of rows, by `columns` columns; the first of them ask for the
/// next tile.
template <typename Vector, bool kAsks>
void along_columns(int vectors, Tile& tile, int columns) {
  const TileKernel* kernels = kernels_for<Vector, kAsks>(vectors);
  const Index x_step = tile.ldx, start_step = tile.ld_start, y_step = tile.ldy;
  while (columns > 0) {
    const int width = next_part(columns, kTileColumns);
    kernels[width - 1](tile);
    tile.x += width * x_step;
    tile.start += width * start_step;
    tile.y += width * y_step;
    columns -= width;
    if constexpr (kAsks) kernels = kernels_for<Vector, false>(vectors);
  }
}

/// At least as many rows as lanes. No tile but the only one has a single vector: the rows of a last
/// one that ends with the last row are then its own, so that sums are stored once in each pass.
template <typename Vector, bool kAsks = false>
void by_tiles(const Operands& o) {
  constexpr int kLanes = simd::kLanes<Vector>;
  const int m = o.rows, all = (m + kLanes - 1) / kLanes;
  for (Index j = 0; j < o.batch; j += kBlock) {
    const auto columns = static_cast<int>(std::min<Index>(kBlock, o.batch - j));
    for (int p = 0, inner = 0; p < o.columns; p += inner) {
      inner = next_part(o.columns - p, kInner);
      for (int v = 0, vectors = 0; v < all; v += vectors) {
        vectors = next_part(all - v, kTileVectors);
        const int i = v * kLanes;
        const Index at = j * m + i;
        Tile tile{inner,
                  std::min(vectors * kLanes, m - i) - kLanes,
                  o.A + Index{p} * m + i,
                  m,
                  o.X + j * o.columns + p,
                  o.columns,
                  p == 0 ? o.start + i : o.Y + at,
                  p == 0 ? 0 : m,
                  o.Y + at,
                  m,
                  v + vectors < all ? vectors * kLanes : Index{inner} * m - i};
        along_columns<Vector, kAsks>(vectors, tile, columns);
      }
    }
  }
}

/// body(integral_constant c) for a c in 1 .. most that is known when the program runs.
template <int most, typename Body>
void with_constant(int c, Body&& body) {
  if constexpr (most > 1) {
    if (c < most) {
      with_constant<most - 1>(c, body);
      return;
    }
  }
  body(std::integral_constant<int, most>{});
}

/// body(integral_constant C, x, y) for at most so many columns at a time.
template <int most, typename Body>
void for_columns(const Operands& o, Body&& body) {
  const Real* x = o.X;
  Real* y = o.Y;
  for (auto left = static_cast<int>(o.batch), width = 0; left > 0; left -= width) {
    width = next_part(left, most);
    with_constant<most>(width, [&](auto C) { body(C, x, y); });
    x += Index{width} * o.columns;
    y += Index{width} * o.rows;
  }
}

/// The same where all of A is one tile of V vectors of rows.
template <int V>
void by_one_tile(const Operands& o) {
  const int last = o.rows - simd::kLanes<simd::Widest>;
  for_columns<kTileColumns>(o, [&](auto C, const Real* x, Real* y) {
    multiply<simd::Widest, V, C()>(
        {o.columns, last, o.A, o.rows, x, o.columns, o.start, 0, y, o.rows});
  });
}

/// Width n alone, fewer rows than the widest vector has lanes: everything but the batch is known.
template <int n>
void narrow(const Operands& o) {
  constexpr bool kFour = n >= 4 && simd::kLanes<simd::Widest> >= 4;
  using Vector = std::conditional_t<kFour, simd::Four, simd::Two>;
  constexpr int kLanes = simd::kLanes<Vector>, kVectors = (n + kLanes - 1) / kLanes;
  for_columns<kNarrowColumns>(o, [&](auto C, const Real* x, Real* y) {
    multiply<Vector, kVectors, C()>({n, n - kLanes, o.A, n, x, n, o.start, 0, y, n});
  });
}

void one_number(const Operands& o) {
  const Real a = *o.A, start = *o.start;
#pragma GCC ivdep
  for (Index b = 0; b < o.batch; ++b) o.Y[b] = simd::multiply_add(a, o.X[b], start);
}

/// The sums of Gemv's kernels for this width. Whole columns, one behind the other, come fast enough
/// from memory without being asked for.
template <int n>
void in_registers(const Operands& o) {
  using Product = RegisterProduct<n, false>;
  for_columns<Product::kSamples>(o, [&](auto C, const Real* x, Real* y) {
    Product::template add_several<C()>(o.A, x, o.start, y);
  });
}

template <bool kAsks>
Kernel tiles_for(int rows, int columns) {
  constexpr int kLanes = simd::kLanes<simd::Widest>, kFour = simd::kLanes<simd::Four>;
  if constexpr (kLanes > kFour) {
    if (rows >= kFour && rows < kLanes) return kernel<by_tiles<simd::Four>>;
  }
  if (!kAsks && rows > kLanes && rows <= kTileVectors * kLanes && columns <= kInner) {
    if (rows <= 2 * kLanes) return kernel<by_one_tile<2>>;
    return rows <= 3 * kLanes ? kernel<by_one_tile<3>> : kernel<by_one_tile<kTileVectors>>;
  }
  if (rows >= kLanes) return kernel<by_tiles<simd::Widest, kAsks>>;
  return rows >= 2 ? kernel<by_tiles<simd::Two>> : kernel<by_tiles<Real>>;
}

template <bool kAsks>
Kernel choose(int rows, int columns) {
  if (rows != columns) return tiles_for<kAsks>(rows, columns);
  switch (rows) {
    case 1:
      return kernel<one_number>;
    case 3:
      return kernel<narrow<3>>;
    case 5:
      return kernel<narrow<5>>;
    case 6:
      return kernel<narrow<6>>;
    case 7:
      return kernel<narrow<7>>;
    default:
      return with_register_width(
          rows, [](auto n) -> Kernel { return kernel<in_registers<n()>>; },
          [=] { return tiles_for<kAsks>(rows, columns); });
  }
}

}  // namespace

BatchProduct::BatchProduct(int rows, int columns, BlocksFrom where)
    : kernel_(where == BlocksFrom::memory && rows >= kAskFrom ? choose<true>(rows, columns)
                                                              : choose<false>(rows, columns)),
      rows_(rows),
      columns_(columns) {
  if (rows != columns) return;
  gemv_ = Gemv(rows, where);
  one_by_gemv_ = rows >= kGemvFrom || with_register_width(
                                          rows, [](auto) { return true; }, [] { return false; });
}

}  // namespace deeppcr::blocks
