#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/models/end.hpp"

namespace deeppcr::models {

/// One fully connected layer among the parameters of a network: W, column-major [outputs x inputs],
/// at `offset`, then b [outputs].
struct DenseShape {
  int inputs = 1;
  int outputs = 1;
  Index offset = 0;

  Index size() const { return Index{inputs} * outputs + outputs; }
  Index end() const { return offset + size(); }
  Index bias_offset() const { return offset + Index{inputs} * outputs; }
};

/// y = W x + b; a sample's y does not depend on the others, to the last bit. Shapes: x [B, inputs],
/// y [B, outputs]. Cost: 2 B inputs outputs flops.
void dense_forward(const DenseShape& layer, const Real* theta, ConstState x, State y);

/// From g [B, outputs] = d loss / d y: the layer's part of `gradient` (laid out as theta), summed
/// over samples, and input_gradient [B, inputs]; a null pointer or an empty view of either is left
/// out.
void dense_gradient(const DenseShape& layer, const Real* theta, ConstState x, ConstState g,
                    Real* gradient, State input_gradient);

/// Mean of (y - target)^2; y becomes its gradient by y.
double mean_square(View<Real, 1> y, const Real* target);

/// Uniform on +-1/sqrt(inputs), as PyTorch's nn.Linear, by (seed, role) and position.
void dense_initialise(const DenseShape& layer, std::uint64_t seed, std::uint64_t role, Real* theta);

/// y = W x + b from `inputs` to `outputs` numbers; starts as PyTorch's nn.Linear.
class DenseLayer final : public End {
 public:
  DenseLayer(LayerRole role, int inputs, int outputs, std::uint64_t seed);

  int inputs() const override { return shape_.inputs; }
  int outputs() const override { return shape_.outputs; }

  /// W, column-major [outputs x inputs] (the transpose of PyTorch's [out, in]), then b [outputs].
  View<Real, 1> parameters() override { return {parameters_.data(), {parameters_.size()}}; }
  View<const Real, 1> parameters() const { return {parameters_.data(), {parameters_.size()}}; }
  /// The same by rows, one for each input, then the bias: [inputs + 1, outputs].
  View<Real, 2> rows() { return {parameters_.data(), {shape_.inputs + 1, shape_.outputs}}; }
  View<const Real, 2> rows() const {
    return {parameters_.data(), {shape_.inputs + 1, shape_.outputs}};
  }
  /// rows(), called after its role.
  std::vector<sequence::ParameterGroup> groups() override;

  void forward(ConstState x, State y) const override;
  void gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                State input_gradient) const override;

 private:
  LayerRole role_;
  DenseShape shape_;
  Buffer<Real> parameters_;
};

}  // namespace deeppcr::models
