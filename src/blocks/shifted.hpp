#pragma once

#include "deeppcr/blocks/linearisation.hpp"

namespace deeppcr::blocks {

/// Steps first.. of a linearisation, counted from 0.
class Shifted final : public Linearisation, private Tuned {
 public:
  Shifted(const Linearisation& all, Index first) : all_(all), tuned_(all.tuned()), first_(first) {}

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
  const Tuned* tuned() const override { return tuned_ == nullptr ? nullptr : this; }

 private:
  bool overlaps() const override { return tuned_->overlaps(); }
  void substitute_both(Direction direction, const Strand& one, const Strand& other) const override {
    tuned_->substitute_both(direction, shift(one), shift(other));
  }
  bool repeatable() const override { return tuned_->repeatable(); }
  void substitute_first(const Strand& part) const override {
    tuned_->substitute_first(shift(part));
  }
  void catch_up(StepRange range, ConstStates result) const override {
    tuned_->catch_up(shift(range), result);
  }
  void skip(StepRange range, States result) const override { tuned_->skip(shift(range), result); }
  void prefetch(StepRange range, Direction direction, Index bytes) const override {
    tuned_->prefetch(shift(range), direction, bytes);
  }

  StepRange shift(StepRange range) const { return {range.first + first_, range.last + first_}; }
  Strand shift(const Strand& part) const {
    return {shift(part.range), part.rhs, part.result, part.carry};
  }

  const Linearisation& all_;
  const Tuned* tuned_;
  Index first_;
};

}  // namespace deeppcr::blocks
