#pragma once

#include "deeppcr/blocks/gemv.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// y_b = start + A x_b for a column-major A [rows x columns] and any number of vectors. What a
/// vector gives does not depend on how many others there are nor on its place among them, to the
/// last bit; with a square A it is what Gemv gives. The kernel is chosen once, at construction.
class BatchProduct {
 public:
  BatchProduct() = default;
  /// @pre rows, columns >= 1
  BatchProduct(int rows, int columns, BlocksFrom where = BlocksFrom::cache);

  /// Shapes: X [batch, columns], start [rows], the same for all vectors, Y [batch, rows]; Y
  /// overlaps none of the others. Cost: 2 batch rows columns flops.
  void operator()(const Real* A, Index batch, const Real* X, const Real* start, Real* Y) const {
    kernel_({rows_, columns_, batch, A, X, start, Y});
  }

  struct Operands {
    int rows, columns;
    Index batch;
    const Real *A, *X, *start;
    Real* Y;
  };

 private:
  void (*kernel_)(const Operands&) = nullptr;
  int rows_ = 0, columns_ = 0;
};

}  // namespace deeppcr::blocks
