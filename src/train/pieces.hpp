#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "deeppcr/core/buffer.hpp"

namespace deeppcr::train {

/// Equal pieces of memory that are used again. Counts how many were in use at once.
class Pieces {
 public:
  explicit Pieces(Index size) : size_(size) {}

  Buffer<Real> take() {
    most_ = std::max(most_, ++used_);
    if (free_.empty()) return Buffer<Real>(size_);
    Buffer<Real> piece = std::move(free_.back());
    free_.pop_back();
    return piece;
  }
  void put(Buffer<Real> piece) {
    --used_;
    free_.push_back(std::move(piece));
  }

  int most() const { return most_; }
  double most_bytes() const { return static_cast<double>(most_ * size_ * Index{sizeof(Real)}); }

 private:
  Index size_;
  std::vector<Buffer<Real>> free_;
  int used_ = 0, most_ = 0;
};

}  // namespace deeppcr::train
