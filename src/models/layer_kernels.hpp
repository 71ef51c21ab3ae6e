#pragma once

#include "deeppcr/blocks/activation.hpp"
#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "models/layered_chain.hpp"

namespace deeppcr::models {

/// One step of a backward pass. Shapes: z, g, c, out [B, n]; the rest as LayerKernels has it. @pre
/// out overlaps neither g, z nor slopes
struct BackwardStep {
  const Real* theta;
  const Real* slopes;
  const Real* z;  ///< the state that the step starts from
  const Real* g;  ///< the whole gradient by the state after it
  const Real* c;  ///< explicit gradient of the loss by z; null where it is zero
  Real* out;      ///< c + A^T g; may be c
  Real* grad;     ///< the parameters' gradient
};

/// The arithmetic of the steps of a LayeredChain, on plain arrays. theta: the parameters of the
/// step; slopes: sigma' of each layer at each sample, [layers, B, n], the last layer's times h.
/// Keeps kernels and scratch between calls.
class LayerKernels {
 public:
  /// far: the parameters of consecutive steps come from memory, not from a cache near the core.
  LayerKernels(const StepShape& shape, bool far);

  const StepShape& shape() const { return shape_; }
  /// Reals of `slopes` for a step; 0 where all would be one.
  Index num_slopes(Index batch) const { return has_slopes() ? shape_.layers * batch * n_ : 0; }

  /// y = f(z). Shapes: z, y [B, n]. A sample's y does not depend on the batch, to the last bit.
  /// Fills `slopes` unless it is null.
  /// Returns the outputs of all layers but the last, [layers - 1, B, n], in scratch.
  const Real* forward(const Real* theta, Index batch, const Real* z, Real* y, Real* slopes);
  /// forward() of steps one after another: states [steps, B, n], parameters of a step behind those
  /// of the one before.
  void run(const Real* theta, Index steps, Index batch, const Real* z, Real* states);
  /// run(), with the bits of run(), and tangent [n] <- A_l tangent for one sample at each step.
  void run_with_tangent(const Real* theta, Index steps, Index batch, const Real* z, Real* states,
                        Index sample, Real* tangent);
  /// W = A V or W = A^T V for k columns a sample. Shapes: V, W [B, k, n].
  void product(Direction direction, const Real* theta, const Real* slopes, ConstPanel V, Panel W);
  /// One step of substitution from the right: out = c + A^T g; z and grad are not touched.
  void substitute_transposed(const BackwardStep& step, Index batch);
  /// The same, and the gradient of the step's parameters.
  void backpropagate(const BackwardStep& step, Index batch);
  /// The Jacobians themselves, A [B, n, n]; layer 0 costs no product.
  void jacobian(const Real* theta, const Real* slopes, Index batch, Real* A);
  /// grad = sum over samples of (df/dtheta)^T g. Shapes: z, g [B, n], grad [shape.parameters()].
  void parameter_gradient(const Real* theta, Index batch, const Real* z, const Real* g, Real* grad);
  /// The same for steps of one layer, with the slopes at hand.
  void single_layer_gradient(const Real* slopes, Index batch, const Real* z, const Real* g,
                             Real* grad) {
    layer_gradient(0, batch, z, scaled_gradient(slopes, batch, g), grad);
  }

 private:
  /// `per_sample` columns for each of `samples` samples, from `first` of `batch` on.
  struct Columns {
    Index first, samples, per_sample, batch;
    Index count() const { return samples * per_sample; }
  };

  void scale(const Real* slopes, int layer, const Columns& c, const Real* X, Real* Y) const;
  void push(const Real* theta, const Real* slopes, const Columns& c, const Real* X, Real* Y);
  void pull(const Real* theta, const Real* slopes, const Columns& c, const Real* X,
            const Real* start, Real* Y);
  const Real* scaled_gradient(const Real* slopes, Index batch, const Real* g);
  void layer_gradient(int layer, Index batch, const Real* x, const Real* delta, Real* grad);
  bool has_slopes() const { return shape_.activation != Activation::identity || shape_.scale != 1; }

  StepShape shape_;
  int n_;
  blocks::Product product_;
  blocks::TransposedProduct transposed_product_;
  blocks::LayerStepsKernels narrow_;  ///< for one sample, where the shape has them
  Buffer<Real> hidden_, panels_, gradient_, transposed_, tangent_;
};

}  // namespace deeppcr::models
