#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "models/cell.hpp"

namespace deeppcr::models {

class RecurrentLinearisation;
class RecurrentSteps;

/// Recurrent cells over time: step l takes x_l [d] and the states of all layers to the next ones,
/// from the first layer up, each on the new h of the one below. See CellShape for what lies where.
///
/// A view for inputs (bound_to()) shares parameters and scratch with the chain it comes from. Not
/// for use by several threads at once. Behind the end of a sample its state stays as it is.
class RecurrentChain final : public sequence::Sequence {
 public:
  /// Parameters by the seed alone. rnn, gru, lstm: uniform on +-1/sqrt(n), as PyTorch. para-gru,
  /// para-lstm: a and peepholes normal with variance 1/n, cut at 0.9, W_ih uniform on
  /// +-sqrt(3/d), no bias. @throws Error for sizes without sense
  RecurrentChain(const CellShape& shape, Index num_steps, StepSet local, std::uint64_t seed);

  const CellShape& shape() const;
  Index num_steps() const override { return num_steps_; }
  int width() const override { return shape().state_width(); }
  double products() const override;
  double tangent_work() const override { return machine().tangent_of_cell; }
  /// h of the last layer.
  sequence::Columns output() const override;
  StepSet local_steps() const override { return local_; }
  int input_width() const override { return shape().features; }
  sequence::Inputs inputs() const override { return inputs_; }
  std::unique_ptr<Sequence> bound_to(const sequence::Inputs& inputs) const override;
  std::vector<std::unique_ptr<Sequence>> layers() const override;
  /// A shared row for each layer: "cell/0", "cell/1", ..
  std::vector<sequence::ParameterGroup> parameters() override;

  /// Cost: two products [G n x n] a layer and sample, each one for many steps.
  void value(StepRange range, ConstStates in, States out) const override;
  void propagate(StepRange range, ConstState z, States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise_at_solution(StepRange range, ConstStates in,
                                                               ConstStates out) const override;
  std::unique_ptr<blocks::Linearisation> linearise_along(StepRange range,
                                                         States states) const override;
  void propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                              View<Real, 1> tangent) const override;
  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override;
  void parameter_gradient_at(const blocks::Linearisation& J, StepRange range, ConstStates in,
                             ConstStates g, const sequence::GroupRows& grads) const override;
  void backpropagate(const blocks::Linearisation& J, StepRange range,
                     const sequence::BackwardPass& pass) const override;

 private:
  /// One layer of a stack.
  RecurrentChain(const RecurrentChain& stack, int layer);

  std::unique_ptr<RecurrentLinearisation> evaluate(StepRange range, Index batch, const Real* in,
                                                   Real* out, bool chained, bool keep) const;

  std::shared_ptr<RecurrentSteps> steps_;
  Index num_steps_;
  StepSet local_;
  sequence::Inputs inputs_;
  int first_layer_ = 0;  ///< of the stack that this is a layer of
};

}  // namespace deeppcr::models
