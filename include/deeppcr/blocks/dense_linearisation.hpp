#pragma once

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/blocks/linearisation.hpp"
#include "deeppcr/core/buffer.hpp"

namespace deeppcr::blocks {

/// Jacobians given as stored blocks: for matrices that come from elsewhere, tests and benchmarks.
class DenseLinearisation : public Linearisation {
 public:
  /// Room for the blocks of `range`, all zero. Shape of storage(): [range.size(), B, n, n].
  DenseLinearisation(StepRange range, Index batch, int width);

  Blocks storage() { return {blocks_.data(), {range_.size(), batch_, width_, width_}}; }
  void product(Index l, Direction direction, ConstPanel V, Panel W) const override;
  void blocks(StepRange range, Blocks A) const override;

 private:
  const Real* block(Index l, Index b) const {
    return blocks_.data() + ((l - range_.first) * batch_ + b) * width_ * width_;
  }

  StepRange range_;
  Index batch_;
  int width_;
  Buffer<Real> blocks_;
  Product product_;
  TransposedProduct transposed_product_;
};

}  // namespace deeppcr::blocks
