#pragma once

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"

namespace deeppcr::models {

/// From this number of rows on, one after another, products back are with a transposed copy, so
/// that the bits of a row do not depend on how many there are.
constexpr Index kTransposeFrom = 2;

/// Products with the transpose of a matrix W, column-major [rows x columns], for as long as W stays
/// as it was taken: with a copy of its transpose where more than one vector comes.
class BackProduct {
 public:
  BackProduct(int rows, int columns)
      : rows_(rows), columns_(columns), product_(columns, rows), dots_(rows, columns) {}

  /// vectors: about how many will come.
  void take(const Real* W, Index vectors) {
    W_ = W;
    transposes_ = vectors >= kTransposeFrom;
    if (!transposes_) return;
    transposed_.reserve(Index{rows_} * columns_);
    blocks::transpose(rows_, columns_, W, transposed_.data());
  }

  /// Y = start + W^T X, X [count, rows], Y [count, columns]; start may be Y, or null for zero.
  void operator()(Index count, const Real* X, const Real* start, Real* Y) const {
    if (transposes_) {
      product_.add(transposed_.data(), count, X, start, Y);
    } else {
      dots_(W_, count, X, start, Y);
    }
  }

 private:
  int rows_, columns_;
  const Real* W_ = nullptr;
  blocks::Product product_;
  blocks::TransposedProduct dots_;
  Buffer<Real> transposed_;
  bool transposes_ = false;
};

}  // namespace deeppcr::models
