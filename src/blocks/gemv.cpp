// Kernels in vectors of plain compiler extensions: any instruction set will do. How wide they are
// and how many sums stay in registers follows what the build has: a vector wider than the registers
// lives in memory, and is many times slower.
#include "deeppcr/blocks/gemv.hpp"

#include <cstring>

#include "deeppcr/core/cache.hpp"

namespace deeppcr::blocks {

namespace {

// Spelt out: in a template GCC drops the attribute where its argument depends on a parameter.
using Two = Real __attribute__((vector_size(2 * sizeof(Real))));
using Four = Real __attribute__((vector_size(4 * sizeof(Real))));
using Eight = Real __attribute__((vector_size(8 * sizeof(Real))));

#if defined(__AVX512F__)
using Widest = Eight;
#elif defined(__AVX__)
using Widest = Four;
#else
using Widest = Two;
#endif
/// Sums in registers: so many that multiply-adds do not wait for each other.
constexpr int kMostSums = 8;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMostSumsOfPair = 16;
#else
constexpr int kMostSumsOfPair = 12;  ///< of 16 registers
#endif

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

/// The same address, unknown to the compiler: it cannot read the column there before the ones
/// already used. Blocks from memory come fastest from one end to the other.
inline const Real* next(const Real* column) {
  __asm__("" : "+r"(column));
  return column;
}

/// Bytes ahead of the columns in use that are asked for where blocks come from memory, into the
/// second-level cache: the hardware's own look ahead falls behind where there is more to do than
/// one product, such as an activation or a second one. Of 1 to 64 KiB, about as fast from 4 on.
constexpr Index kAhead = 8192;

/// Asks for what is kAhead behind the v-th vector of a column: once a line, of columns that are
/// shorter once a column.
template <typename Vector>
inline void ask_ahead(const Real* column, int v) {
  constexpr Index kSize = sizeof(Vector);
  if (v * kSize % kCacheLine == 0)
    prefetch(reinterpret_cast<const char*>(column) + v * kSize + kAhead, kSize);
}

/// sum[0] += all others.
template <typename Vector, int kVectors, int kSets>
inline void add_up(Vector (&sum)[kSets][kVectors]) {
  for (int half = kSets / 2; half > 0; half /= 2) {
    for (int s = 0; s < half; ++s)
      for (int v = 0; v < kVectors; ++v) sum[s][v] += sum[s + half][v];
  }
}

/// y = start + sum_c A_c x_c for columns [0, kColumns) and rows [0, kRows), in the order of the
/// columns; as many rows as sums fit into the registers.
template <int kColumns>
struct Tile {
  static constexpr int kLanes = sizeof(Widest) / sizeof(Real), kRows = kMostSums * kLanes;

  static void add(int n, const Real* A, const Real* x, const Real* start, Real* y) {
    Widest sum[kMostSums];
    for (int v = 0; v < kMostSums; ++v) sum[v] = load<Widest>(start + v * kLanes);
    for (int c = 0; c < kColumns; ++c, A += n)
      for (int v = 0; v < kMostSums; ++v) sum[v] += load<Widest>(A + v * kLanes) * x[c];
    for (int v = 0; v < kMostSums; ++v) store(sum[v], y + v * kLanes);
  }

  /// The same for `rows` rows.
  static void add_some(int rows, int n, const Real* A, const Real* x, const Real* start, Real* y) {
#pragma GCC ivdep
    for (int i = 0; i < rows; ++i) {
      Real sum = start[i];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) sum += A[Index{c} * n + i] * x[c];
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

// y = start + sum_j A_j x_j with y in registers where it fits, n = lanes * kVectors. Columns go to
// kSets sums in turn: one alone would wait for each multiply-add.
template <typename Vector, int kVectors, int kSets, bool kAsks>
struct InRegisters {
  static void run(int, const Real* A, const Real* x, const Real* start, Real* y) {
    constexpr int kLanes = sizeof(Vector) / sizeof(Real), n = kLanes * kVectors;
    if constexpr (kVectors > kMostSums) {
      by_tiles<kAsks>(n, A, x, start, y);
    } else {
      Vector sum[kSets][kVectors] = {};
      for (int v = 0; v < kVectors; ++v) sum[0][v] = load<Vector>(start + v * kLanes);
      for (int j = 0; j < n; j += kSets) {
        for (int s = 0; s < kSets; ++s, A = next(A + n)) {
          for (int v = 0; v < kVectors; ++v) {
            if constexpr (kAsks) ask_ahead<Vector>(A, v);
            sum[s][v] += load<Vector>(A + v * kLanes) * x[j + s];
          }
        }
      }
      add_up(sum);
      for (int v = 0; v < kVectors; ++v) store(sum[0][v], y + v * kLanes);
    }
  }
};

/// Start of sums from nothing.
alignas(64) constexpr Real kZeros[64] = {};

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

/// Of so short a block the first product is waited for, and the second one is computed meanwhile:
/// side by side they would delay each other.
constexpr int kShort = 16;

// y = start + A x and w = A v; sums as InRegisters has them, so that the bits are the same.
template <typename Vector, int kVectors, int kSets, bool kAsks>
struct PairInRegisters {
  static void run(int, const GemvPair::Operands& o) {
    constexpr int kLanes = sizeof(Vector) / sizeof(Real), n = kLanes * kVectors;
    if constexpr (kVectors > kMostSums) {
      pair_by_tiles<kAsks>(n, o);
    } else if constexpr (2 * kSets * kVectors > kMostSumsOfPair || n <= kShort) {
      // The second time the block comes from the caches.
      InRegisters<Vector, kVectors, kSets, kAsks>::run(n, o.A, o.x, o.start, o.y);
      InRegisters<Vector, kVectors, kSets, false>::run(n, o.A, o.v, kZeros, o.w);
    } else {
      Vector sum[kSets][kVectors] = {}, image[kSets][kVectors] = {};
      for (int v = 0; v < kVectors; ++v) sum[0][v] = load<Vector>(o.start + v * kLanes);
      const Real* A = o.A;
      for (int j = 0; j < n; j += kSets) {
        for (int s = 0; s < kSets; ++s, A = next(A + n)) {
          for (int v = 0; v < kVectors; ++v) {
            if constexpr (kAsks) ask_ahead<Vector>(A, v);
            const auto a = load<Vector>(A + v * kLanes);
            sum[s][v] += a * o.x[j + s];
            image[s][v] += a * o.v[j + s];
          }
        }
      }
      add_up(sum);
      add_up(image);
      for (int v = 0; v < kVectors; ++v) {
        store(sum[0][v], o.y + v * kLanes);
        store(image[0][v], o.w + v * kLanes);
      }
    }
  }
};

/// Sums of each of so many vectors that there is room for, four at most.
constexpr int sets_for(int vectors) {
  const int room = kMostSums / vectors;
  return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

/// The kernel for n numbers.
template <template <typename, int, int, bool> class Kernel, int n, bool kAsks>
constexpr auto in_registers() {
  constexpr int kWidest = sizeof(Widest) / sizeof(Real);
  if constexpr (n == 2) {
    return Kernel<Two, 1, 2, kAsks>::run;
  } else if constexpr (n == 4 && kWidest > 4) {
    return Kernel<Four, 1, 4, kAsks>::run;
  } else {
    constexpr int kVectors = n / kWidest;
    return Kernel<Widest, kVectors, sets_for(kVectors), kAsks>::run;
  }
}

/// The kernel for a width: one table, since Gemv and GemvPair must sum in the same order.
template <template <typename, int, int, bool> class Kernel, bool kAsks, typename Function>
Function kernel_for(int n, Function any_width) {
  switch (n) {
    case 2:
      return in_registers<Kernel, 2, kAsks>();
    case 4:
      return in_registers<Kernel, 4, kAsks>();
    case 8:
      return in_registers<Kernel, 8, kAsks>();
    case 16:
      return in_registers<Kernel, 16, kAsks>();
    case 32:
      return in_registers<Kernel, 32, kAsks>();
    case 64:
      return in_registers<Kernel, 64, kAsks>();
    default:
      return any_width;
  }
}

}  // namespace

Gemv::Gemv(int n, BlocksFrom where)
    : kernel_(where == BlocksFrom::memory ? kernel_for<InRegisters, true>(n, by_tiles<true>)
                                          : kernel_for<InRegisters, false>(n, by_tiles<false>)),
      n_(n) {}

GemvPair::GemvPair(int n, BlocksFrom where)
    : kernel_(where == BlocksFrom::memory
                  ? kernel_for<PairInRegisters, true>(n, pair_by_tiles<true>)
                  : kernel_for<PairInRegisters, false>(n, pair_by_tiles<false>)),
      n_(n) {}

// The widths and sums are those of kernel_for() and in_registers().
bool GemvPair::hides_second(int n) {
  constexpr int kWidest = sizeof(Widest) / sizeof(Real);
  const bool has_kernel = 2 <= n && n <= 64 && (n & (n - 1)) == 0;
  const int vectors = n > kWidest ? n / kWidest : 1;
  return has_kernel && (n <= kShort || 2 * sets_for(vectors) * vectors <= kMostSumsOfPair);
}

}  // namespace deeppcr::blocks
