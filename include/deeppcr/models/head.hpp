#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/models/dense_kernels.hpp"

namespace deeppcr::models {

/// y = W x + b from `inputs` to `outputs` numbers, for the two ends of a network; starts as
/// PyTorch's nn.Linear, uniform on
/// +-1/sqrt(inputs).
class DenseLayer {
 public:
  /// role tells apart the random numbers of layers with the same seed.
  DenseLayer(int inputs, int outputs, std::uint64_t seed, std::uint64_t role);

  int inputs() const { return inputs_; }
  int outputs() const { return outputs_; }

  /// W, column-major [outputs x inputs] (the transpose of PyTorch's [out, in]), then b [outputs].
  View<Real, 1> parameters() { return {parameters_.data(), {parameters_.size()}}; }
  View<const Real, 1> parameters() const { return {parameters_.data(), {parameters_.size()}}; }
  Real* weights() { return parameters_.data(); }
  const Real* weights() const { return parameters_.data(); }
  Real* bias() { return parameters_.data() + Index{inputs_} * outputs_; }
  const Real* bias() const { return parameters_.data() + Index{inputs_} * outputs_; }

  /// Shapes: x [B, inputs], y [B, outputs].
  void forward(ConstState x, State y) const;
  /// From g [B, outputs] = d loss / d y: parameter_gradient [parameters().size()], summed over
  /// samples, and input_gradient [B, inputs]; an empty view of either is left out.
  void gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                State input_gradient) const;

 private:
  DenseShape shape() const;

  int inputs_;
  int outputs_;
  Buffer<Real> parameters_;
};

/// Brings the features of a sample, such as the pixels of an image, to the width of the chain.
class Embedding : public DenseLayer {
 public:
  Embedding(int features, int width, std::uint64_t seed);
};

/// Mean loss of a batch, and how many samples have their label as the largest logit.
struct LossReport {
  double loss = 0;
  Index correct = 0;
};

/// Linear classifier on the last state with softmax cross-entropy, averaged over the batch.
class ClassifierHead : public DenseLayer {
 public:
  ClassifierHead(int width, int classes, std::uint64_t seed);

  int classes() const { return outputs(); }

  /// Shapes: z [B, n], labels [B], logits [B, classes]. A NaN in z gives a NaN loss.
  /// @throws Error when a label is none of 0..classes-1
  LossReport loss(ConstState z, const std::vector<int>& labels, State logits) const;
  /// loss() with its gradients: state_gradient [B, n] and parameter_gradient [parameters().size()],
  /// where the views are not empty. `logits` becomes d loss / d logits.
  LossReport loss_and_gradient(ConstState z, const std::vector<int>& labels, State logits,
                               State state_gradient, View<Real, 1> parameter_gradient) const;
};

/// Softmax cross-entropy by itself, averaged over the batch: logits [B, classes] become d loss / d
/// logits when `with_gradient`. Numerically stable for logits of any size.
LossReport softmax_cross_entropy(State logits, const std::vector<int>& labels, bool with_gradient);

}  // namespace deeppcr::models
