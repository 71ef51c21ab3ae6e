#pragma once

#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"

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

/// Uniform on +-1/sqrt(inputs), as PyTorch's nn.Linear, by (seed, role) and position.
void dense_initialise(const DenseShape& layer, std::uint64_t seed, std::uint64_t role, Real* theta);

}  // namespace deeppcr::models
