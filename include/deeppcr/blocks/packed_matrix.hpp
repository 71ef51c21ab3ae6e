#pragma once

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// A matrix laid out for products with one vector or many: Y = bias + W X.
///
/// Rows are packed in panels as wide as the registers allow, so that the matrix streams through the
/// caches once, in order. Each number of Y is summed over the columns of W in their order, whatever
/// the number of vectors: a vector's product does not depend on its company, to the last bit.
/// Cost: 2 rows cols flops a vector.
template <typename T>
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Takes W, column-major [rows x cols], and bias [rows] (none: zero).
  PackedMatrix(int rows, int cols, const Real* W, const Real* bias = nullptr);

  int rows() const { return rows_; }
  int cols() const { return cols_; }
  /// Stride between the vectors of Y: rows, filled up to whole panels.
  int padded_rows() const;

  /// Shapes: X [count, stride], of which the first cols() numbers of each row count; Y [count,
  /// padded_rows()], zero behind the first rows(). Y does not overlap X.
  void multiply(Index count, const T* X, Index stride, T* Y) const {
    multiply_panels(bias_.data(), 0, panels(), count, X, stride, Y);
  }
  /// Y = W X, without the bias.
  void multiply_linear(Index count, const T* X, Index stride, T* Y) const {
    multiply_panels(nullptr, 0, panels(), count, X, stride, Y);
  }
  /// multiply() for the panels [first, last) of panels() alone: for threads that share a product.
  void multiply_panels(int first, int last, Index count, const T* X, Index stride, T* Y) const {
    multiply_panels(bias_.data(), first, last, count, X, stride, Y);
  }
  int panels() const;

 private:
  void multiply_panels(const T* bias, int first, int last, Index count, const T* X, Index stride,
                       T* Y) const;

  int rows_ = 0, cols_ = 0;
  Buffer<T> packed_;  ///< [panels, cols, panel width]
  Buffer<T> bias_;    ///< [padded_rows]
};

extern template class PackedMatrix<float>;
extern template class PackedMatrix<double>;

}  // namespace deeppcr::blocks
