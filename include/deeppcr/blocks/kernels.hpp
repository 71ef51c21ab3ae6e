#pragma once

#include <string>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/core/work.hpp"

namespace deeppcr::blocks {

/// Y = start + A X for a column-major A [rows x columns] and any number of vectors. What a vector
/// gives does not depend on how many others there are nor on its place among them, to the last bit.
/// The kernel is chosen once, at construction.
class Product {
 public:
  Product() = default;
  /// @pre rows >= 1
  Product(int rows, int columns);

  struct Operands {
    const Real* A;
    Index count;  ///< of vectors
    const Real *X, *start;
    Index start_stride;  ///< from the start of a vector to that of the next
    Real* Y;
  };
  /// Shapes: X [count, columns], Y [count, rows]; start [rows], the same for all vectors, null for
  /// zero. Y overlaps none of the others. Cost: 2 count rows columns flops.
  void operator()(const Real* A, Index count, const Real* X, const Real* start, Real* Y) const {
    count_product(rows_, columns_, count);
    kernel_(*this, {A, count, X, start, 0, Y});
  }
  /// With a start for each vector, [count, rows], which may be Y.
  void add(const Real* A, Index count, const Real* X, const Real* start, Real* Y) const {
    count_product(rows_, columns_, count);
    kernel_(*this, {A, count, X, start, rows_, Y});
  }

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  using Kernel = void (*)(const Product& product, const Operands& operands);

 private:
  Kernel kernel_ = nullptr;
  int rows_ = 0, columns_ = 0;
};

/// Y = start + A^T X for a column-major A [rows x columns] and any number of vectors. For few of
/// them columns are read from the last to the first: loops that walk blocks backward then read
/// memory in one direction, which brings several times as much a second. More than a few are a
/// Product with the transposed matrix. Not for use by several threads at once.
class TransposedProduct {
 public:
  TransposedProduct() = default;
  TransposedProduct(int rows, int columns);

  /// Shapes: X [count, rows], start and Y [count, columns]; start may be Y; null stands for zero.
  /// Y does not overlap X. Cost: 2 count rows columns flops.
  void operator()(const Real* A, Index count, const Real* X, const Real* start, Real* Y) const;
  /// The same for one vector, and C = x z^T: what a layer's backward pass does with its weights and
  /// with their gradient. Both matrices are walked together. C does not overlap the others.
  void with_outer(const Real* A, const Real* x, const Real* z, const Real* start, Real* y,
                  Real* C) const;

  struct Sides {
    int rows, columns;
  };
  struct Outer {
    const Real* z;
    Real* C;
  };
  /// Arguments stay in registers: for small matrices a call takes as long as the sums.
  using Kernel = void (*)(Sides sides, const Real* A, const Real* x, const Real* start, Real* y,
                          const Outer& outer);

 private:
  Kernel dots_ = nullptr, dots_and_outer_ = nullptr;
  Sides sides_{0, 0};
  Product product_;  ///< with the transposed matrix
  mutable Buffer<Real> transposed_;
};

/// C = x z^T for x [rows] and z [columns].
void outer_product(int rows, int columns, const Real* x, const Real* z, Real* C);

/// At = A^T for a column-major A [rows x columns].
void transpose(int rows, int columns, const Real* A, Real* At);

/// A layer y = W x + b, W [outputs x inputs] with b behind it.
struct LayerSizes {
  int outputs, inputs;
  bool bias;
};
/// The gradient of W and, if there is one, b from delta [count, outputs] = d loss / d y: dW = sum
/// of delta x^T, db = sum of delta. Shapes: x [count, inputs]; scratch of (inputs + 1) count reals.
void layer_gradient(const LayerSizes& sizes, Index count, const Real* x, const Real* delta,
                    Real* scratch, Real* gradient);

/// y += x
template <typename T>
void add(Index count, const T* x, T* y) {
  count_elements(count);
  for (Index i = 0; i < count; ++i) y[i] += x[i];
}

/// max |x|, and max |a - b|; infinity where there is a NaN.
double largest(Index count, const Real* x);
double largest_difference(Index count, const Real* a, const Real* b);

/// Y = s .* X for `columns` columns of n numbers; Y may be X.
void scale_columns(int n, Index columns, const Real* s, const Real* X, Real* Y);

/// Name and core type of the BLAS linked, where it tells: PETSc's own solvers depend on it.
std::string blas_library();

}  // namespace deeppcr::blocks
