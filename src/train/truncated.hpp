#pragma once

#include <memory>
#include <vector>

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::train {

/// A chain whose gradients are truncated: its steps are cut into windows of N from the first one
/// on, and no gradient leaves a window by its front. What a step's state does to the loss counts
/// up to the end of its window, and for a sample that ends earlier through the steps that it has
/// not, which leave its state as it is.
///
///     steps        0 .. N-1 | N .. 2N-1 | 2N ..        values: those of the chain
///     gradients    <------- | <-------- | <----        the Jacobians of steps N, 2N, .. are zero
///
/// Source: Williams and Peng, Neural Computation 2 (1990), with h' = h = N.
class Truncated final : public sequence::Sequence {
 public:
  /// The chain must outlive the object. @pre window > 0
  Truncated(const sequence::Sequence& chain, Index window) : chain_(chain), window_(window) {}

  Index num_steps() const override { return chain_.num_steps(); }
  int width() const override { return chain_.width(); }
  double products() const override { return chain_.products(); }
  double tangent_work() const override { return chain_.tangent_work(); }
  sequence::Columns output() const override { return chain_.output(); }
  StepSet local_steps() const override { return chain_.local_steps(); }
  int input_width() const override { return chain_.input_width(); }
  sequence::Inputs inputs() const override { return chain_.inputs(); }
  /// Of a chain that it owns.
  std::vector<sequence::ParameterGroup> parameters() override {
    return own_ ? own_->parameters() : std::vector<sequence::ParameterGroup>{};
  }
  std::unique_ptr<Sequence> bound_to(const sequence::Inputs& inputs) const override;
  std::vector<std::unique_ptr<Sequence>> layers() const override;

  void value(StepRange range, ConstStates in, States out) const override {
    chain_.value(range, in, out);
  }
  void propagate(StepRange range, ConstState z, States out) const override {
    chain_.propagate(range, z, out);
  }
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise_at_solution(StepRange range, ConstStates in,
                                                               ConstStates out) const override;
  std::unique_ptr<blocks::Linearisation> linearise_along(StepRange range,
                                                         States states) const override;
  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override {
    chain_.parameter_gradient(range, in, g, grads);
  }
  void parameter_gradient_at(const blocks::Linearisation& J, StepRange range, ConstStates in,
                             ConstStates g, const sequence::GroupRows& grads) const override;
  void backpropagate(const blocks::Linearisation& J, StepRange range,
                     const sequence::BackwardPass& pass) const override;

 private:
  Truncated(std::unique_ptr<Sequence> chain, Index window)
      : own_(std::move(chain)), chain_(*own_), window_(window) {}
  std::unique_ptr<blocks::Linearisation> cut(std::unique_ptr<blocks::Linearisation> J) const;

  std::unique_ptr<Sequence> own_;  ///< of bound_to()
  const sequence::Sequence& chain_;
  Index window_;
};

}  // namespace deeppcr::train
