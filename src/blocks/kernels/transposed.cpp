// Products with transposed matrices.
#include <algorithm>
#include <utility>

#include "blocks/kernels/simd.hpp"
#include "deeppcr/blocks/kernels.hpp"

namespace deeppcr::blocks {

namespace {

using simd::load;
using simd::store;

using Four = simd::Vector<Real, 4>;
constexpr int kFour = 4;
/// A register of the build, four lanes at least.
constexpr int kWide = std::max(kFour, simd::kWidest<Real>);
using Wide = simd::Vector<Real, kWide>;

/// From this number of vectors on A is transposed once, and the bits of Y do not depend on how many
/// there are. From 8 on that is cheaper than dot products for each, too; from 2 on a pipeline of
/// micro-batches needs it.
constexpr Index kTransposeFrom = 2;

/// Lanes of a, and of b behind them.
template <int... lanes, typename V>
V pick(const V& a, const V& b) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, lanes...);
#else
  return __builtin_shuffle(a, b, simd::Vector<std::int64_t, sizeof...(lanes)>{lanes...});
#endif
}

template <int apart, int... lane>
void exchange_halves(const Wide* from, Wide* to, std::integer_sequence<int, lane...>) {
  for (int r = 0; r < kWide; ++r) {
    if ((r & apart) != 0) continue;
    const Wide a = from[r], b = from[r + apart];
    to[r] = pick<((lane & apart) == 0 ? lane : kWide + lane - apart)...>(a, b);
    to[r + apart] = pick<((lane & apart) == 0 ? lane + apart : kWide + lane)...>(a, b);
  }
}
/// One level of a transposition in registers: of each two rows `apart` from each other, the lanes
/// that are `apart` change places across them.
template <int apart>
void exchange_halves(const Wide* from, Wide* to) {
  exchange_halves<apart>(from, to, std::make_integer_sequence<int, kWide>());
}

/// The sums over the lanes of four vectors, as one vector.
Four lane_sums(const Four* a) {
  const Four s01 = pick<0, 4, 2, 6>(a[0], a[1]) + pick<1, 5, 3, 7>(a[0], a[1]);
  const Four s23 = pick<0, 4, 2, 6>(a[2], a[3]) + pick<1, 5, 3, 7>(a[2], a[3]);
  return pick<0, 1, 4, 5>(s01, s23) + pick<2, 3, 6, 7>(s01, s23);
}

/// Lanes 0..3, plus lanes 4..7 where there are so many.
template <typename V>
Four fold(const V& v) {
  if constexpr (sizeof(V) == sizeof(Four)) {
    return v;
  } else {
    Four halves[2];
    store(v, halves);
    return halves[0] + halves[1];
  }
}

using Sides = TransposedProduct::Sides;
using Outer = TransposedProduct::Outer;

Real dot(int count, const Real* a, const Real* x) {
  Real sum = 0;
  for (int i = 0; i < count; ++i) sum += a[i] * x[i];
  return sum;
}

// y = start + A^T x and, if kOuter, C = x z^T, for n x n matrices of whole vectors. One column
// after another, the last one first: read in any other order, blocks from memory come several times
// more slowly.
template <int n, bool kOuter>
void square(Sides, const Real* A, const Real* x, const Real* start, Real* y, const Outer& outer) {
  constexpr int kPieces = n / kWide;
  if (kOuter) count_elements(n * n);
  Wide xs[kPieces];
  for (int p = 0; p < kPieces; ++p) xs[p] = load<Wide>(x + p * kWide);
  const Real* z = outer.z;
  Real* C = kOuter ? outer.C + n * n : nullptr;
  A += n * n;
  for (int j = n - kFour; j >= 0; j -= kFour) {
    Four folded[kFour];
    for (int c = kFour - 1; c >= 0; --c) {
      A = simd::in_order(A - n);
      if (kOuter) C -= n;
      Wide sum = {};
      for (int p = kPieces - 1; p >= 0; --p) {
        sum += load<Wide>(A + p * kWide) * xs[p];
        if (kOuter) store(xs[p] * z[j + c], C + p * kWide);
      }
      folded[c] = fold(sum);
    }
    const Four total = lane_sums(folded);
    store(start == nullptr ? total : total + load<Four>(start + j), y + j);
  }
}

// The same for any sides: four columns abreast, of which more is on its way from memory at once.
template <bool kOuter>
void any_sides(Sides sides, const Real* A, const Real* x, const Real* start, Real* y,
               const Outer& outer) {
  const Index rows = sides.rows;
  const auto start_of = [start](int j) { return start == nullptr ? 0 : start[j]; };
  int j = sides.columns;
  for (; j % kFour != 0; --j) y[j - 1] = start_of(j - 1) + dot(sides.rows, A + (j - 1) * rows, x);
  for (j -= kFour; j >= 0; j -= kFour) {
    const Real* a = A + j * rows;
    Wide sum[kFour] = {};
    Index i = 0;
    for (; i + kWide <= rows; i += kWide) {
      const Wide xi = load<Wide>(x + i);
#pragma GCC unroll 4
      for (int c = 0; c < kFour; ++c) sum[c] += load<Wide>(a + c * rows + i) * xi;
    }
    const Four folded[kFour] = {fold(sum[0]), fold(sum[1]), fold(sum[2]), fold(sum[3])};
    Four total = lane_sums(folded);
    total += Four{start_of(j), start_of(j + 1), start_of(j + 2), start_of(j + 3)};
    for (; i < rows; ++i) total += Four{a[i], a[rows + i], a[2 * rows + i], a[3 * rows + i]} * x[i];
    store(total, y + j);
  }
  if (kOuter) outer_product(sides.rows, sides.columns, x, outer.z, outer.C);
}

template <bool kOuter>
TransposedProduct::Kernel choose(int rows, int columns) {
  if (rows == columns) {
    if (rows == 8) return square<8, kOuter>;
    if (rows == 16) return square<16, kOuter>;
    if (rows == 32) return square<32, kOuter>;
    if (rows == 64) return square<64, kOuter>;
  }
  return any_sides<kOuter>;
}

/// A square of kSide rows and columns: A with leading dimension lda to At with ldt. Of a register's
/// side whole lines are read and written, each once.
template <int kSide>
void transpose_piece(const Real* A, Index lda, Real* At, Index ldt) {
  if constexpr (kSide == kFour) {
    const auto a0 = load<Four>(A), a1 = load<Four>(A + lda), a2 = load<Four>(A + 2 * lda),
               a3 = load<Four>(A + 3 * lda);
    const Four low01 = pick<0, 4, 2, 6>(a0, a1), low23 = pick<0, 4, 2, 6>(a2, a3);
    const Four high01 = pick<1, 5, 3, 7>(a0, a1), high23 = pick<1, 5, 3, 7>(a2, a3);
    store(pick<0, 1, 4, 5>(low01, low23), At);
    store(pick<0, 1, 4, 5>(high01, high23), At + ldt);
    store(pick<2, 3, 6, 7>(low01, low23), At + 2 * ldt);
    store(pick<2, 3, 6, 7>(high01, high23), At + 3 * ldt);
  } else {
    Wide a[kWide], b[kWide];
    for (int c = 0; c < kWide; ++c) a[c] = load<Wide>(A + c * lda);
    exchange_halves<1>(a, b);
    exchange_halves<2>(b, a);
    exchange_halves<4>(a, b);
    for (int r = 0; r < kWide; ++r) store(b[r], At + r * ldt);
  }
}

// From the last column to the first (see square()): bands of columns, of which a row's pieces are
// whole lines. What is left beside whole pieces goes number by number.
template <int kSide>
void transpose_pieces(Index rows, Index columns, const Real* A, Real* At) {
  const Index whole_rows = rows - rows % kSide, whole_columns = columns - columns % kSide;
  for (Index j = 0; j < columns; ++j) {
    for (Index i = j < whole_columns ? whole_rows : 0; i < rows; ++i)
      At[i * columns + j] = A[j * rows + i];
  }
  // Rows of At at a distance of a power of two share few places in a cache.
  const Index band = columns > 96 ? 32 : kSide;
  for (Index end = whole_columns; end > 0; end -= std::min(band, end)) {
    for (Index i = whole_rows - kSide; i >= 0; i -= kSide)
      for (Index j = end - kSide; j >= std::max<Index>(0, end - band); j -= kSide)
        transpose_piece<kSide>(A + j * rows + i, rows, At + i * columns + j, columns);
  }
}

}  // namespace

TransposedProduct::TransposedProduct(int rows, int columns)
    : dots_(choose<false>(rows, columns)),
      dots_and_outer_(choose<true>(rows, columns)),
      sides_{rows, columns},
      product_(columns, rows) {}

void TransposedProduct::operator()(const Real* A, Index count, const Real* X, const Real* start,
                                   Real* Y) const {
  const auto [rows, columns] = sides_;
  if (count >= kTransposeFrom) {
    transposed_.reserve(Index{rows} * columns);
    transpose(rows, columns, A, transposed_.data());
    product_.add(transposed_.data(), count, X, start, Y);
    return;
  }
  for (Index v = 0; v < count; ++v, X += rows, Y += columns) {
    count_product(rows, columns, 1);
    dots_(sides_, A, X, start, Y, {});
    if (start != nullptr) start += columns;
  }
}

void TransposedProduct::with_outer(const Real* A, const Real* x, const Real* z, const Real* start,
                                   Real* y, Real* C) const {
  count_product(sides_.rows, sides_.columns, 1);
  dots_and_outer_(sides_, A, x, start, y, {z, C});
}

void outer_product(int rows, int columns, const Real* x, const Real* z, Real* C) {
  const int whole = rows - rows % kWide;
  count_elements(Index{rows} * columns);
  for (int j = 0; j < columns; ++j, C += rows) {
    for (int i = 0; i < whole; i += kWide) store(load<Wide>(x + i) * z[j], C + i);
    for (int i = whole; i < rows; ++i) C[i] = x[i] * z[j];
  }
}

void transpose(int rows, int columns, const Real* A, Real* At) {
  count_elements(Index{rows} * columns);
  const bool by_registers = rows % kWide == 0 && columns % kWide == 0;
  (by_registers ? transpose_pieces<kWide> : transpose_pieces<kFour>)(rows, columns, A, At);
}

}  // namespace deeppcr::blocks
