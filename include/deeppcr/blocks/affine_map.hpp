#pragma once

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::blocks {

/// V <- [I | 0] for each sample: of shape [B, n or more columns, n].
void set_identity(Panel V);

/// d -> A d + r for B samples at once, kept as panels [A | r]: shape [B, n + 1, n], so column n is
/// r.
class AffineMap {
 public:
  AffineMap() = default;
  AffineMap(Index batch, int width);

  Index batch() const { return batch_; }
  int width() const { return width_; }
  /// [B, n + 1, n]
  Panel panel() { return {data_.data(), {batch_, width_ + 1, width_}}; }
  ConstPanel panel() const { return {data_.data(), {batch_, width_ + 1, width_}}; }

  void swap(AffineMap& other) noexcept;

  /// out = later o earlier: A = A2 A1, r = A2 r1 + r2. Cost: 2 B n^2 (n + 1) flops. out is none of
  /// the two.
  static void compose(const AffineMap& later, const AffineMap& earlier, AffineMap& out);
  /// after = A before + r. Shapes [B, n]; `after` does not overlap `before`.
  /// Cost: 2 B n^2 flops.
  void apply(ConstState before, State after) const;

 private:
  Index batch_ = 0;
  int width_ = 0;
  Buffer<Real> data_;
  Product product_;
};

}  // namespace deeppcr::blocks
