#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "models/torch/torch_module.hpp"

namespace deeppcr::models {

class TorchLinearisation;

/// The step of a TorchScript module, again and again or with weights of its own for each step.
///
/// Its weights are here, in double; the plug-in borrows them. Batched and single evaluation of a
/// module differ by some roundings, so a sample's states have the same bits only in the same batch.
/// Not for use by several threads at once.
class TorchChain final : public sequence::Sequence {
 public:
  /// With the stored weights of the local steps. @throws Error where the module has fewer steps
  TorchChain(std::shared_ptr<const TorchModule> module, Index num_steps, StepSet local);

  Index num_steps() const override { return num_steps_; }
  int width() const override { return module().width(); }
  double products() const override;
  /// One more sample in each batch, which narrow steps of several products hardly feel: measured
  /// 0.3 for gates of n = 64, but 1 for a layer (two rows are another kernel), 0.8 for
  /// convolutions.
  double tangent_work() const override { return width() <= 256 && products() > 1.5 ? 0.3 : 1; }
  StepSet local_steps() const override { return local_; }
  int input_width() const override { return module().input_width(); }
  sequence::Inputs inputs() const override { return inputs_; }
  /// Null where steps take no inputs.
  std::unique_ptr<Sequence> bound_to(const sequence::Inputs& inputs) const override;
  /// Named as in the module: "fc.weight", "fc.bias".
  std::vector<sequence::ParameterGroup> parameters() override;

  void value(StepRange range, ConstStates in, States out) const override;
  void propagate(StepRange range, ConstState z, States out) const override;
  /// By differences of values. The states are those of propagate() to rounding, since batches of
  /// another size differ so.
  void propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                              View<Real, 1> tangent) const override;
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise_at_solution(StepRange range, ConstStates in,
                                                               ConstStates out) const override;
  /// With the graphs of steps that have weights of their own, so that backpropagate() evaluates
  /// nothing again.
  std::unique_ptr<blocks::Linearisation> linearise_along(StepRange range,
                                                         States states) const override;
  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override;
  void parameter_gradient_at(const blocks::Linearisation& J, StepRange range, ConstStates in,
                             ConstStates g, const sequence::GroupRows& grads) const override;
  /// Gradients by state and parameters of a step from one evaluation.
  void backpropagate(const blocks::Linearisation& J, StepRange range,
                     const sequence::BackwardPass& pass) const override;

  /// W = A_l V of each step of a range, or transposed. Shapes: V, W [m, B, k, n].
  void product(StepRange range, Direction direction, ConstStates in, View<const Real, 4> V,
               View<Real, 4> W) const;
  /// w = A^T v of a recorded step. Shapes: v, w [B, n].
  void pull(const DeepPcrTape& tape, Index step, const Real* v, Real* w) const;

 private:
  struct Weights;

  /// Null where it holds no graphs.
  static const TorchLinearisation* recorded(const blocks::Linearisation& J);
  void gradient_of_recorded(const TorchLinearisation& taped, Index l, const Real* g,
                            const sequence::GroupRows& rows, Real* by_state) const;
  sequence::GroupRows rows_of(const sequence::GroupRows& all, Index step) const;
  TorchChain(const TorchChain& other, const sequence::Inputs& inputs);
  const TorchModule& module() const;
  DeepPcrRange plugin_range(StepRange range, Index samples) const;
  const Real* inputs_of(StepRange range, Index samples, Buffer<Real>& room) const;
  /// What a sample without a step keeps: rows of k n numbers, [m, B, k n].
  void keep_where_ended(StepRange range, ConstStates from, States to) const;
  void gradient(StepRange range, ConstStates in, ConstStates g, const sequence::GroupRows& grads,
                Real* by_state) const;

  std::shared_ptr<Weights> weights_;  ///< shared with views for inputs
  Index num_steps_;
  StepSet local_;
  sequence::Inputs inputs_;
};

}  // namespace deeppcr::models
