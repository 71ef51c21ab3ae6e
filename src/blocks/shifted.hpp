#pragma once

#include "deeppcr/blocks/linearisation.hpp"

namespace deeppcr::blocks {

/// Steps first.. of a linearisation, counted from 0.
class Shifted final : public Linearisation, private SideWork {
 public:
  Shifted(const Linearisation& all, Index first)
      : all_(all), side_(all.side_work()), first_(first) {}

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    all_.product(l + first_, direction, V, W);
  }
  void product_each(StepRange range, Direction direction, View<const Real, 4> V,
                    View<Real, 4> W) const override {
    all_.product_each(shift(range), direction, V, W);
  }
  void diagonals(StepRange range, States D) const override { all_.diagonals(shift(range), D); }
  void substitute(StepRange range, Direction direction, ConstStates rhs, States result,
                  State carry) const override {
    all_.substitute(shift(range), direction, rhs, result, carry);
  }
  void eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                 Panel scratch) const override {
    all_.eliminate(shift(range), direction, rhs, map, scratch);
  }
  void blocks(StepRange range, Blocks A) const override { all_.blocks(shift(range), A); }
  Structure structure() const override { return all_.structure(); }
  const SideWork* side_work() const override { return side_ == nullptr ? nullptr : this; }

 private:
  void substitute_first(StepRange range, ConstStates rhs, States result,
                        State carry) const override {
    side_->substitute_first(shift(range), rhs, result, carry);
  }
  void catch_up(StepRange range, ConstStates result) const override {
    side_->catch_up(shift(range), result);
  }
  void skip(StepRange range, States result) const override { side_->skip(shift(range), result); }

  StepRange shift(StepRange range) const { return {range.first + first_, range.last + first_}; }

  const Linearisation& all_;
  const SideWork* side_;
  Index first_;
};

}  // namespace deeppcr::blocks
