// Products with vectors as wide as the build's registers.
#include <cmath>
#include <limits>

#include "blocks/kernels/sums.hpp"
#include "deeppcr/blocks/kernels.hpp"

namespace deeppcr::blocks {

namespace {

using simd::Vector;
using Kernel = Product::Kernel;
using Operands = Product::Operands;

constexpr int kLanes = simd::kWidest<Real>;
/// So many columns of A, by so many vectors x, are gone through before the next ones: a tile of A
/// stays in the first-level cache. For one vector fewer: several are on their way from memory at
/// once.
constexpr int kInner = 96, kBlock = 64, kLoneInner = 8;

/// The length of the next part of what is left: none above `most`, none much shorter than others.
constexpr int next_part(int left, int most) {
  return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

/// All rows are one tile of kVectors vectors, with so many sets of sums. kSquare: the matrix is a
/// square of whole vectors, whose sides are known here.
template <int lanes, int kVectors, int kSets, bool kSquare>
[[gnu::flatten]] void whole(const Product& p, const Operands& o) {
  const Index m = kSquare ? kVectors * lanes : p.rows(), k = kSquare ? m : p.columns();
  multiply_columns<Real, Vector<Real, lanes>, kVectors, columns_for(kVectors, kSets), kSets>(
      {k, m - lanes, o.A, m, o.X, k, o.start, o.start_stride, o.Y, m}, o.count);
}

/// More rows, by tiles of at most kMost vectors of them and kColumns columns. No tile but the only
/// one has a single vector: the rows of a last one that ends with the last row are then its own, so
/// that sums are stored once in each pass.
template <int kMost, int kColumns>
void by_tiles(const Product& product, const Operands& o, int most_inner) {
  const int m = product.rows(), k = product.columns(), all = (m + kLanes - 1) / kLanes;
  for (Index j = 0; j < o.count; j += kBlock) {
    const Index columns = std::min<Index>(kBlock, o.count - j);
    int p = 0, inner = 0;
    do {
      inner = next_part(k - p, most_inner);
      for (int v = 0, vectors = 0; v < all; v += vectors) {
        vectors = next_part(all - v, kMost);
        const int i = v * kLanes;
        Real* y = o.Y + j * m + i;
        const bool first = p == 0;
        const Real* start = o.start == nullptr ? nullptr : o.start + j * o.start_stride + i;
        const Tile<Real> tile{inner,
                              std::min(vectors * kLanes, m - i) - kLanes,
                              o.A + Index{p} * m + i,
                              m,
                              o.X + j * k + p,
                              k,
                              first ? start : y,
                              first ? o.start_stride : m,
                              y,
                              m,
                              v + vectors < all ? vectors * kLanes : Index{inner} * m - i};
        with_constant<kMost>(vectors, [&](auto V) {
          multiply_columns<Real, Vector<Real, kLanes>, V(), kColumns, 1, true>(tile, columns);
        });
      }
      p += inner;
    } while (p < k);
  }
}

void tiles(const Product& product, const Operands& o) {
  if (o.count > 1) {
    by_tiles<kTileVectors, 4>(product, o, kInner);
  } else {
    const bool streams = product.rows() > kLoneVectors * kLanes;
    by_tiles<kLoneVectors, 1>(product, o, streams ? kLoneInner : product.columns());
  }
}

/// One set of sums for products of many vectors, which do not wait for each other.
template <int lanes, bool kOneSet>
Kernel choose(int rows, int columns) {
  if constexpr (lanes > 1) {
    if (rows < lanes) return choose<lanes / 2, kOneSet>(rows, columns);
  }
  Kernel kernel = tiles;
  const int vectors = (rows + lanes - 1) / lanes;
  if (vectors <= kWholeVectors) {
    with_constant<kWholeVectors>(vectors, [&](auto V) {
      constexpr int kSets = kOneSet ? 1 : sets_for(V());
      kernel = whole<lanes, V(), kSets, false>;
      if (rows == columns && rows == V() * lanes) kernel = whole<lanes, V(), kSets, true>;
    });
  }
  return kernel;
}

template <typename Value>
double largest_of(Index count, Value&& value) {
  count_elements(count);
  double largest = 0, probe = 0;
  for (Index i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(value(i)));
    probe += value(i) * 0.0;  // NaN for NaN and infinity, which max() may drop
  }
  return probe == 0.0 ? largest : std::numeric_limits<double>::infinity();
}

}  // namespace

Product::Product(int rows, int columns)
    : kernel_(choose<kLanes, false>(rows, columns)), rows_(rows), columns_(columns) {}

// [dW | db] = delta [x^T | 1]: one product
void layer_gradient(const LayerSizes& sizes, Index count, const Real* x, const Real* delta,
                    Real* scratch, Real* gradient) {
  if (count == 1) {
    outer_product(sizes.outputs, sizes.inputs, delta, x, gradient);
    if (sizes.bias)
      std::copy_n(delta, sizes.outputs, gradient + Index{sizes.outputs} * sizes.inputs);
    return;
  }
  const auto samples = static_cast<int>(count);
  count_product(sizes.outputs, samples, sizes.inputs + 1);
  transpose(sizes.inputs, samples, x, scratch);
  std::fill_n(scratch + sizes.inputs * count, count, Real{1});
  choose<kLanes, true>(sizes.outputs, samples)(
      Product(sizes.outputs, samples),
      {delta, sizes.inputs + (sizes.bias ? 1 : 0), scratch, nullptr, 0, gradient});
}

double largest(Index count, const Real* x) {
  return largest_of(count, [x](Index i) { return x[i]; });
}

double largest_difference(Index count, const Real* a, const Real* b) {
  return largest_of(count, [a, b](Index i) { return a[i] - b[i]; });
}

void scale_columns(int n, Index columns, const Real* s, const Real* X, Real* Y) {
  using V = simd::Widest<Real>;
  const int whole = n - n % kLanes;
  count_elements(n * columns);
  for (Index c = 0; c < columns; ++c, X += n, Y += n) {
    for (int i = 0; i < whole; i += kLanes)
      simd::store(simd::load<V>(s + i) * simd::load<V>(X + i), Y + i);
    for (int i = whole; i < n; ++i) Y[i] = s[i] * X[i];
  }
}

}  // namespace deeppcr::blocks
