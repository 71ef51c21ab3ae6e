#pragma once

#include <optional>
#include <utility>

#include "deeppcr/blocks/dense_linearisation.hpp"

namespace deeppcr::models {

/// Base of linearisations whose steps share a network, so that product_each() of a range is one
/// batch. Chain products (many columns step after step) go through the blocks, which are made at
/// once for the whole range when first needed.
class DenseOnDemand : public blocks::Linearisation {
 public:
  DenseOnDemand(StepRange range, Index batch, int width)
      : range_(range), batch_(batch), width_(width) {}

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    if (dense_) return dense_->product(l, direction, V, W);
    const std::array<Index, 4> shape{1, batch_, V.extent(1), width_};
    product_each({l, l + 1}, direction, {V.data(), shape}, {W.data(), shape});
  }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    dense().substitute(range, direction, rhs, result, carry);
  }
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override {
    dense().eliminate(range, direction, rhs, map, scratch);
  }

 protected:
  StepRange range() const { return range_; }
  Index batch() const { return batch_; }

 private:
  const blocks::DenseLinearisation& dense() const {
    if (!dense_) {
      blocks::DenseLinearisation all(range_, batch_, width_);
      blocks(range_, all.storage());
      dense_.emplace(std::move(all));
    }
    return *dense_;
  }

  StepRange range_;
  Index batch_;
  int width_;
  mutable std::optional<blocks::DenseLinearisation> dense_;
};

}  // namespace deeppcr::models
