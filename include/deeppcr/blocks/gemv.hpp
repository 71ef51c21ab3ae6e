#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// Where blocks are read from, one behind the other: out of the caches near the core, or from
/// further away, so that it pays to ask for them ahead. The results have the same bits.
enum class BlocksFrom { cache, memory };

/// y = start + A x for a column-major n x n block; A is read once, column after column or in
/// panels of eight columns, so that blocks that come from memory stream. The kernel is chosen once,
/// at construction. `start` may be y; x may not. Cost: 2 n^2 flops.
class Gemv {
 public:
  Gemv() = default;
  explicit Gemv(int n, BlocksFrom where = BlocksFrom::cache);

  void operator()(const Real* A, const Real* x, const Real* start, Real* y) const {
    kernel_(n_, A, x, start, y);
  }

 private:
  void (*kernel_)(int, const Real*, const Real*, const Real*, Real*) = nullptr;
  int n_ = 0;
};

/// y = start + A x and w = A v, each entry with the bits that Gemv gives it: the block comes
/// from memory once for both, the second time from a cache near the core. No output may be an
/// input, but y may be start. Cost: 4 n^2 flops.
class GemvPair {
 public:
  GemvPair() = default;
  explicit GemvPair(int n, BlocksFrom where = BlocksFrom::cache);

  struct Operands {
    const Real *A, *x, *start, *v;
    Real *y, *w;
  };
  void operator()(const Operands& operands) const { kernel_(n_, operands); }

 private:
  void (*kernel_)(int, const Operands&) = nullptr;
  int n_ = 0;
};

/// y = start + A^T x for a column-major n x n block. Columns are read from the last to the first:
/// loops that walk blocks backward then read memory in one direction, which brings several times as
/// much a second. `start` may be y; x may not. Cost: 2 n^2 flops.
class GemvTransposed {
 public:
  GemvTransposed() = default;
  explicit GemvTransposed(int n);

  void operator()(const Real* A, const Real* x, const Real* start, Real* y) const {
    kernel_(n_, A, x, start, y);
  }

 private:
  void (*kernel_)(int, const Real*, const Real*, const Real*, Real*) = nullptr;
  int n_ = 0;
};

/// y = start + A^T x and C = x z^T for column-major n x n blocks: what a layer's backward pass does
/// with its weights and with their gradient, for one sample. Both blocks are walked together, from
/// the last column to the first. `start` may be y; x and z may not. Cost: 3 n^2 flops.
class GemvTransposedOuter {
 public:
  GemvTransposedOuter() = default;
  explicit GemvTransposedOuter(int n);

  struct Operands {
    const Real *A, *x, *z, *start;
    Real *y, *C;
  };
  void operator()(const Operands& operands) const { kernel_(n_, operands); }

 private:
  void (*kernel_)(int, const Operands&) = nullptr;
  int n_ = 0;
};

}  // namespace deeppcr::blocks
