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
    if (batch == 1 && one_by_gemv_) {
      gemv_(A, X, start, Y);
    } else {
      kernel_(*this, batch, A, X, start, Y);
    }
  }

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  /// Whether Gemv is the faster one for a single vector: GemvPair then is for two products.
  bool one_by_gemv() const { return one_by_gemv_; }
  using Kernel = void (*)(const BatchProduct& product, Index batch, const Real* A, const Real* X,
                          const Real* start, Real* Y);

 private:
  Kernel kernel_ = nullptr;
  Gemv gemv_;
  bool one_by_gemv_ = false;
  int rows_ = 0, columns_ = 0;
};

}  // namespace deeppcr::blocks
