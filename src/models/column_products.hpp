#pragma once

#include <algorithm>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::models {

/// Products of one kind (Gemm, GemmTransposed) with n x n matrices and any number of columns; a
/// kernel for each number of columns met, kept.
template <typename Product>
class ColumnProducts {
 public:
  ColumnProducts(int width, bool accumulate) : width_(width), accumulate_(accumulate) {}
  /// Y = op(W) X or Y = Y + op(W) X. Shapes: W [n x n], X, Y [n x columns], all column-major.
  void operator()(const Real* W, Index columns, const Real* X, Real* Y) {
    if (columns != columns_) choose(columns);
    product_(W, X, Y);
  }

 private:
  struct Entry {
    Index columns;
    Product product;
  };
  void choose(Index columns);

  int width_;
  bool accumulate_;
  Index columns_ = -1;
  Product product_;
  std::vector<Entry> known_;
};

template <typename Product>
void ColumnProducts<Product>::choose(Index columns) {
  auto found = std::find_if(known_.begin(), known_.end(),
                            [&](const Entry& entry) { return entry.columns == columns; });
  if (found == known_.end()) {
    const auto count = static_cast<int>(columns);
    known_.push_back({columns, Product(width_, count, width_, accumulate_)});
    found = known_.end() - 1;
  }
  columns_ = columns;
  product_ = found->product;
}

}  // namespace deeppcr::models
