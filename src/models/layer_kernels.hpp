#pragma once

#include "deeppcr/blocks/batch_product.hpp"
#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/blocks/gemv.hpp"
#include "deeppcr/core/buffer.hpp"
#include "models/column_products.hpp"
#include "models/layered_chain.hpp"
#include "models/tight_steps.hpp"

namespace deeppcr::models {

/// Working memory that only grows and is not cleared.
class Scratch {
 public:
  Real* get(Index size) {
    if (size > buffer_.size()) buffer_ = Buffer<Real>(size);
    return buffer_.data();
  }

 private:
  Buffer<Real> buffer_;
};

/// Loops over columns of n numbers, compiled for one n.
struct WidthKernels {
  void (*scale_run)(int n, Index columns, const Real* s, const Real* x, Real* y);
  void (*sum)(int n, Index columns, const Real* x, Real* y);
};
/// The usual widths have their own.
WidthKernels choose_kernels(int n);

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

/// The arithmetic of one step of a LayeredChain, on plain arrays. theta: the parameters of the
/// step; slopes: sigma' of each layer at each sample, [layers, B, n], the last layer's times h.
/// Keeps kernels and scratch between calls.
class LayerKernels {
 public:
  /// weights: where those of consecutive steps are read from.
  LayerKernels(const StepShape& shape, blocks::BlocksFrom weights);

  const StepShape& shape() const { return shape_; }
  /// Reals of `slopes` for a step; 0 where all would be one.
  Index num_slopes(Index batch) const;

  /// y = f(z). Shapes: z, y [B, n]. A sample's y does not depend on the batch, to the last bit.
  /// Fills `slopes` unless it is null.
  void forward(const Real* theta, Index batch, const Real* z, Real* y, Real* slopes);
  /// forward() of steps one after another: states [steps, B, n], parameters of a step behind those
  /// of the one before.
  void run(const Real* theta, Index steps, Index batch, const Real* z, Real* states);
  /// run(), with the bits of run(), and tangent [n] <- A_l tangent for one sample at each step.
  void run_with_tangent(const Real* theta, Index steps, Index batch, const Real* z, Real* states,
                        Index sample, Real* tangent);
  /// W = A V and W = A^T V for k columns a sample. Shapes: V, W [B, k, n].
  void jvp(const Real* theta, const Real* slopes, Index batch, Index k, const Real* V, Real* W);
  void vjp(const Real* theta, const Real* slopes, Index batch, Index k, const Real* V, Real* W);
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
                             Real* grad);

 private:
  /// Columns [first, first + count) of a panel with `per_sample` columns for each of `batch`
  /// samples.
  struct Columns {
    Index first;
    Index count;
    Index per_sample;
    Index batch;
  };

  void forward_with_tangent(const Real* theta, Index batch, const Real* z, Real* y, Index sample,
                            Real* tangent);
  template <typename Body>
  void for_tiles(Index batch, Index per_sample, Body&& body);
  const Real* hidden_forward(const Real* theta, Index batch, const Real* z, Real* y, Real* slopes);
  void scale(const Real* slopes, int layer, const Columns& c, const Real* X, Real* Y) const;
  void push(const Real* theta, const Real* slopes, const Columns& c, const Real* X, Real* Y);
  void pull(const Real* theta, const Real* slopes, const Columns& c, const Real* X,
            const Real* start, Real* Y);
  void transposed_product(const Real* W, Index columns, const Real* X, const Real* start, Real* Y);
  const Real* scaled_gradient(const BackwardStep& step, Index batch);
  void layer_gradient(int layer, Index batch, const Real* x, const Real* delta, Real* grad);
  /// b of a layer, or zeros.
  const Real* bias(const Real* theta, int layer) const {
    return shape_.bias ? theta + shape_.bias_offset(layer) : zeros_.data();
  }
  bool has_slopes() const;
  bool is_single(Index batch) const;

  StepShape shape_;
  int n_;
  ColumnProducts<blocks::Gemm<Real>> product_;
  ColumnProducts<blocks::GemmTransposed> transposed_product_, accumulated_transposed_product_;
  blocks::BatchProduct multiply_add_;
  blocks::GemvPair multiply_pair_;
  TightKernels tight_;
  blocks::GemvTransposed transposed_add_;
  blocks::GemvTransposedOuter transposed_add_outer_;
  Buffer<Real> zeros_;  ///< [n], where there is no bias
  Index outer_batch_ = -1;
  blocks::Gemm<Real> outer_product_;
  Scratch hidden_, panels_, gradient_, input_transposed_, tangent_;
  Index most_columns_;
  WidthKernels kernels_;
};

}  // namespace deeppcr::models
