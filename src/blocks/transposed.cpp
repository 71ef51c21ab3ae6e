// Kernels on transposed blocks.
#include <algorithm>
#include <cstring>

#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/blocks/gemv.hpp"
#include "deeppcr/core/simd.hpp"

namespace deeppcr::blocks {

namespace {

using simd::store;

using Vector = simd::Four;
constexpr int kLanes = simd::kLanes<Vector>;

Vector load(const Real* x) { return simd::load<Vector>(x); }

/// Lanes of a (0 to 3) and b (4 to 7).
template <int i, int j, int k, int l>
Vector pick(Vector a, Vector b) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, i, j, k, l);
#else
  using Places = std::int64_t __attribute__((vector_size(sizeof(Vector))));
  return __builtin_shuffle(a, b, Places{i, j, k, l});
#endif
}

/// The sums over the lanes of four vectors, as one vector.
Vector sums(const Vector* a) {
  const Vector s01 = pick<0, 4, 2, 6>(a[0], a[1]) + pick<1, 5, 3, 7>(a[0], a[1]);
  const Vector s23 = pick<0, 4, 2, 6>(a[2], a[3]) + pick<1, 5, 3, 7>(a[2], a[3]);
  return pick<0, 1, 4, 5>(s01, s23) + pick<2, 3, 6, 7>(s01, s23);
}

// y_j += sum_i A_ij x_i for kGroups * 4 columns at once
template <int kGroups>
void dot_columns(int n, const Real* A, const Real* x, Real* y) {
  Vector partial[kGroups * kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vector xi = load(x + i);
    for (int c = 0; c < kGroups * kLanes; ++c) partial[c] += load(A + Index{c} * n + i) * xi;
  }
  for (int g = 0; g < kGroups; ++g) {
    Vector total = load(y + g * kLanes) + sums(partial + g * kLanes);
    const Real* a = A + Index{g} * kLanes * n;
    for (int rest = i; rest < n; ++rest)
      total +=
          Vector{a[rest], a[n + rest], a[2 * Index{n} + rest], a[3 * Index{n} + rest]} * x[rest];
    store(total, y + g * kLanes);
  }
}

/// Eight lanes: a vector where the build has registers of that length, else two. A vector longer
/// than the registers lives in memory.
#if defined(__AVX512F__)
using Wide = simd::Eight;

Wide load_wide(const Real* x) { return simd::load<Wide>(x); }
void store_wide(const Wide& v, Real* x) { store(v, x); }

/// Lanes 0..3 plus lanes 4..7.
Vector fold(const Wide& v) {
  Vector halves[2];
  std::memcpy(halves, &v, sizeof v);
  return halves[0] + halves[1];
}
#else
struct Wide {
  Vector low, high;
};
inline Wide operator+(Wide a, Wide b) { return {a.low + b.low, a.high + b.high}; }
inline Wide operator*(Wide a, Wide b) { return {a.low * b.low, a.high * b.high}; }
inline Wide operator*(Wide a, Real b) { return {a.low * b, a.high * b}; }
inline void operator+=(Wide& a, Wide b) { a = a + b; }
inline Wide load_wide(const Real* x) { return {load(x), load(x + kLanes)}; }
inline void store_wide(Wide v, Real* x) {
  store(v.low, x);
  store(v.high, x + kLanes);
}
inline Vector fold(Wide v) { return v.low + v.high; }
#endif

// y_j = start_j + sum_i A_ij x_i from the last entry of A to the first, one column after another:
// read in any other order, blocks from memory come several times more slowly. n a multiple of 8
template <int n>
void from_the_end(int, const Real* A, const Real* x, const Real* start, Real* y) {
  constexpr int kWide = 2 * kLanes, kPieces = n / kWide;
  Wide xs[kPieces];
  for (int p = 0; p < kPieces; ++p) xs[p] = load_wide(x + p * kWide);
  A += n * n;
  for (int j = n - kLanes; j >= 0; j -= kLanes) {
    Vector folded[kLanes];
    for (int c = kLanes - 1; c >= 0; --c) {
      A = simd::in_order(A - n);
      Wide sum = {};
      for (int p = kPieces - 1; p >= 0; --p) sum += load_wide(A + p * kWide) * xs[p];
      folded[c] = fold(sum);
    }
    store(load(start + j) + sums(folded), y + j);
  }
}

// The same for n < 4.
template <int n>
void tiny(int, const Real* A, const Real* x, const Real* start, Real* y) {
  Real sum[n];
  for (int j = 0; j < n; ++j) {
    sum[j] = start[j];
    for (int i = 0; i < n; ++i) sum[j] += A[j * n + i] * x[i];
  }
  for (int j = 0; j < n; ++j) y[j] = sum[j];
}

// The same for n = 4.
void one_piece(int, const Real* A, const Real* x, const Real* start, Real* y) {
  const Vector v = load(x);
  const Vector products[kLanes] = {load(A) * v, load(A + 4) * v, load(A + 8) * v, load(A + 12) * v};
  store(load(start) + sums(products), y);
}

/// From this width on a column is long enough to be worth several sums.
constexpr int kLong = 32;

// For short columns of any length.
void four_columns(int n, const Real* A, const Real* x, const Real* start, Real* y) {
  if (y != start) std::memcpy(y, start, static_cast<std::size_t>(n) * sizeof(Real));
  gemv_transposed_add(n, A, x, y);
}

/// start + a . x from the last entry to the first, with four sums.
Real dot(int n, const Real* a, const Real* x, Real start) {
  constexpr int kWide = 2 * kLanes, kRun = 4 * kWide;
  Wide sum[4] = {};
  int i = n;
  for (; i % kRun != 0; --i) start += a[i - 1] * x[i - 1];
  for (; i > 0; i -= kRun) {
    for (int k = 3; k >= 0; --k) {
      const int at = i - kRun + k * kWide;
      sum[k] += load_wide(a + at) * load_wide(x + at);
    }
  }
  const Vector total = fold((sum[0] + sum[1]) + (sum[2] + sum[3]));
  return start + ((total[0] + total[1]) + (total[2] + total[3]));
}

// The same for four columns side by side: more of memory is under way at once.
void four_dots(int n, const Real* A, const Real* x, const Real* start, Real* y) {
  constexpr int kWide = 2 * kLanes;
  Wide sum[kLanes] = {};
  Vector total = load(start);
  int i = n;
  for (; i % kWide != 0; --i) {
    const Real* a = A + i - 1;
    total += Vector{a[0], a[n], a[2 * Index{n}], a[3 * Index{n}]} * x[i - 1];
  }
  for (i -= kWide; i >= 0; i -= kWide) {
    const Wide xi = load_wide(x + i);
    for (int c = 0; c < kLanes; ++c) sum[c] += load_wide(A + Index{c} * n + i) * xi;
  }
  const Vector folded[kLanes] = {fold(sum[0]), fold(sum[1]), fold(sum[2]), fold(sum[3])};
  store(total + sums(folded), y);
}

// y_j = start_j + A_j . x for any n: the columns beyond a multiple of four, then four at once, from
// the last to the first.
void by_dots(int n, const Real* A, const Real* x, const Real* start, Real* y) {
  int j = n;
  for (; j % kLanes != 0; --j) y[j - 1] = dot(n, A + Index{j - 1} * n, x, start[j - 1]);
  for (j -= kLanes; j >= 0; j -= kLanes) four_dots(n, A + Index{j} * n, x, start + j, y + j);
}

using Operands = GemvTransposedOuter::Operands;

// y_j = start_j + sum_i A_ij x_i and C_ij = x_i z_j, from the last column to the first; n a
// multiple of 8
template <int n>
void outer_from_the_end(int, const Operands& o) {
  constexpr int kWide = 2 * kLanes, kPieces = n / kWide;
  Wide xs[kPieces];
  for (int p = 0; p < kPieces; ++p) xs[p] = load_wide(o.x + p * kWide);
  const Real* A = o.A + n * n;
  Real* C = o.C + n * n;
  for (int j = n - kLanes; j >= 0; j -= kLanes) {
    Vector folded[kLanes];
    for (int c = kLanes - 1; c >= 0; --c) {
      A = simd::in_order(A - n);
      C -= n;
      Wide sum = {};
      for (int p = kPieces - 1; p >= 0; --p) {
        sum += load_wide(A + p * kWide) * xs[p];
        store_wide(xs[p] * o.z[j + c], C + p * kWide);
      }
      folded[c] = fold(sum);
    }
    store(load(o.start + j) + sums(folded), o.y + j);
  }
}

// The same for n = 4.
void outer_one_piece(int n, const Operands& o) {
  const Vector x = load(o.x);
  one_piece(n, o.A, o.x, o.start, o.y);
  for (int j = 0; j < kLanes; ++j) store(x * o.z[j], o.C + j * kLanes);
}

// The same for any n: one block after the other, so that wide ones stream.
void outer_by_dots(int n, const Operands& o) {
  for (int j = 0; j < n; ++j) {
    Real* column = o.C + Index{j} * n;
    const Real z = o.z[j];
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) column[i] = o.x[i] * z;
  }
  by_dots(n, o.A, o.x, o.start, o.y);
}

/// A 4 x 4 piece: A with leading dimension lda to At with ldt.
void transpose_piece(const Real* A, Index lda, Real* At, Index ldt) {
  const Vector a0 = load(A), a1 = load(A + lda), a2 = load(A + 2 * lda), a3 = load(A + 3 * lda);
  const Vector low01 = pick<0, 4, 2, 6>(a0, a1), low23 = pick<0, 4, 2, 6>(a2, a3);
  const Vector high01 = pick<1, 5, 3, 7>(a0, a1), high23 = pick<1, 5, 3, 7>(a2, a3);
  store(pick<0, 1, 4, 5>(low01, low23), At);
  store(pick<0, 1, 4, 5>(high01, high23), At + ldt);
  store(pick<2, 3, 6, 7>(low01, low23), At + 2 * ldt);
  store(pick<2, 3, 6, 7>(high01, high23), At + 3 * ldt);
}

}  // namespace

void gemv_transposed_add(int n, const Real* A, const Real* x, Real* y) {
  int j = 0;
  for (; j + 2 * kLanes <= n; j += 2 * kLanes) dot_columns<2>(n, A + Index{j} * n, x, y + j);
  for (; j + kLanes <= n; j += kLanes) dot_columns<1>(n, A + Index{j} * n, x, y + j);
  for (; j < n; ++j) {
    Real sum = 0;
    for (int i = 0; i < n; ++i) sum += A[Index{j} * n + i] * x[i];
    y[j] += sum;
  }
}

GemvTransposed::GemvTransposed(int n) : kernel_(n < kLong ? four_columns : by_dots), n_(n) {
  if (n == 1) kernel_ = tiny<1>;
  if (n == 2) kernel_ = tiny<2>;
  if (n == 3) kernel_ = tiny<3>;
  if (n == 4) kernel_ = one_piece;
  if (n == 8) kernel_ = from_the_end<8>;
  if (n == 16) kernel_ = from_the_end<16>;
  if (n == 32) kernel_ = from_the_end<32>;
  if (n == 64) kernel_ = from_the_end<64>;
}

GemvTransposedOuter::GemvTransposedOuter(int n) : kernel_(outer_by_dots), n_(n) {
  if (n == 4) kernel_ = outer_one_piece;
  if (n == 8) kernel_ = outer_from_the_end<8>;
  if (n == 16) kernel_ = outer_from_the_end<16>;
  if (n == 32) kernel_ = outer_from_the_end<32>;
  if (n == 64) kernel_ = outer_from_the_end<64>;
}

void transpose(int rows, int cols, const Real* A, Index lda, Real* At) {
  const int whole_rows = rows - rows % kLanes, whole_cols = cols - cols % kLanes;
  // Tiles that stay in the first-level cache, and whole lines written within them.
  constexpr Index kTile = 16;
  for (Index jt = 0; jt < whole_cols; jt += kTile) {
    for (Index it = 0; it < whole_rows; it += kTile) {
      for (Index i = it; i < std::min<Index>(it + kTile, whole_rows); i += kLanes)
        for (Index j = jt; j < std::min<Index>(jt + kTile, whole_cols); j += kLanes)
          transpose_piece(A + j * lda + i, lda, At + i * cols + j, cols);
    }
  }
  for (Index j = 0; j < cols; ++j) {
    for (Index i = j < whole_cols ? whole_rows : 0; i < rows; ++i)
      At[i * cols + j] = A[j * lda + i];
  }
}

void transpose(int rows, int cols, const Real* A, Real* At) { transpose(rows, cols, A, rows, At); }

}  // namespace deeppcr::blocks
