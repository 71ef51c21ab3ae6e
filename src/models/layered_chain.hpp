#pragma once

#include <memory>
#include <vector>

#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "models/initialisation.hpp"

namespace deeppcr::models {

using blocks::Activation;
using blocks::activation_from;

/// What one step of a LayeredChain is: `layers` fully connected layers, each followed by the
/// activation, with or without skip. Also says where a step's parameters lie: for each layer W,
/// column-major [n x n], so that W(i, j) is at j n + i (the transpose of PyTorch's row-major [out,
/// in]); then, with bias, b [n].
struct StepShape {
  int width = 1;
  int layers = 1;
  Activation activation = Activation::identity;
  bool bias = true;
  bool skip = false;
  Real scale = 1;  ///< h of z + h g(z); 1 without skip

  Index layer_size() const { return Index{width} * width + (bias ? width : 0); }
  Index weight_offset(int layer) const { return layer * layer_size(); }
  Index bias_offset(int layer) const { return weight_offset(layer) + Index{width} * width; }
  Index parameters() const { return layers * layer_size(); }
};

class BufferPool;
class LayerKernels;

/// A chain whose step is g(z) or z + h g(z), g = layers of sigma(W x + b): mlp, resnet and
/// affine.
///
/// Not for use by several threads at once: kernels and scratch are kept between calls. A
/// linearisation borrows them, so the chain must outlive it, and it sees the parameters of the
/// moment when it is used.
class LayeredChain : public sequence::Sequence {
 public:
  /// Parameters of the `local` steps only; they are the same for any split. @throws Error for sizes
  /// without sense
  LayeredChain(const StepShape& shape, Index num_steps, StepSet local, const FirstWeights& first);
  ~LayeredChain() override;

  Index num_steps() const override { return num_steps_; }
  int width() const override { return shape_.width; }
  double products() const override { return shape_.layers; }
  /// Cost: 2 layers B n^2 flops a step, as one matrix product for all samples.
  void value(StepRange range, ConstStates in, States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  /// Without products, and without memory for slopes, for one layer a step whose activation tells
  /// its slope by its value.
  std::unique_ptr<blocks::Linearisation> linearise_at_solution(StepRange range, ConstStates in,
                                                               ConstStates out) const override;
  std::unique_ptr<blocks::Linearisation> linearise_along(StepRange range,
                                                         States states) const override;
  void propagate(StepRange range, ConstState z, States out) const override;
  /// linear_part: the identity of a skip, where there is one.
  bool known_diagonals(sequence::KnownDiagonal which, StepRange range,
                       View<Real, 2> diagonals) const override;
  /// Cost beyond propagate(): 2 layers n^2 flops a step, with the weights still in the cache.
  void propagate_with_tangent(StepRange range, ConstState z, States out, Index sample,
                              View<Real, 1> tangent) const override;

  /// One group, "layers": a row for each step.
  std::vector<sequence::ParameterGroup> parameters() override;
  /// Its rows, [local steps, shape().parameters()].
  View<Real, 2> rows() { return {parameters_.data(), {local_.size(), shape_.parameters()}}; }
  View<const Real, 2> rows() const {
    return {parameters_.data(), {local_.size(), shape_.parameters()}};
  }
  StepSet local_steps() const override { return local_; }
  /// Computes the pre-activations again from `in`: about the cost of value() and twice that of
  /// product() with one column.
  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override;
  /// For one layer a step the slopes are in J: about the cost of product() with one column.
  void parameter_gradient_at(const blocks::Linearisation& J, StepRange range, ConstStates in,
                             ConstStates g, const sequence::GroupRows& grads) const override;
  /// Step by step, with weights, states and gradients still in the caches.
  void backpropagate(const blocks::Linearisation& J, StepRange range,
                     const sequence::BackwardPass& pass) const override;

  const StepShape& shape() const { return shape_; }

 private:
  bool slopes_follow_from_states() const;
  void evaluate(StepRange range, ConstStates in, States out, Real* slopes) const;
  /// Those of the steps of a range, one after another. @pre one of the local ranges holds it
  const Real* parameters_of(StepRange range) const;

  StepShape shape_;
  Index num_steps_;
  StepSet local_;
  Buffer<Real> parameters_;
  std::unique_ptr<LayerKernels> kernels_;
  std::shared_ptr<BufferPool> pool_;  ///< slopes of linearisations
};

}  // namespace deeppcr::models
