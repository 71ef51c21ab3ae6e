#include "deeppcr/models/dense_kernels.hpp"

#include <cmath>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

void dense_forward(const DenseShape& layer, const Real* theta, ConstState x, State y) {
  // y = W x + b
  blocks::Product(layer.outputs, layer.inputs)(theta + layer.offset, x.extent(0), x.data(),
                                               theta + layer.bias_offset(), y.data());
}

void dense_gradient(const DenseShape& layer, const Real* theta, ConstState x, ConstState g,
                    Real* gradient, State input_gradient) {
  const Index batch = x.extent(0);
  if (gradient != nullptr) {
    Buffer<Real> scratch(batch * (layer.inputs + 1));
    blocks::layer_gradient({layer.outputs, layer.inputs, true}, batch, x.data(), g.data(),
                           scratch.data(), gradient + layer.offset);
  }
  if (input_gradient.size() > 0) {
    // dx = W^T g
    blocks::TransposedProduct(layer.outputs, layer.inputs)(theta + layer.offset, batch, g.data(),
                                                           nullptr, input_gradient.data());
  }
}

void dense_initialise(const DenseShape& layer, std::uint64_t seed, std::uint64_t role,
                      Real* theta) {
  Real* own = theta + layer.offset;
  RandomStream(seed, role).uniform(0, layer.size(), own);
  const Real bound = 1 / std::sqrt(layer.inputs);
  for (Index i = 0; i < layer.size(); ++i) own[i] = bound * (2 * own[i] - 1);
}

}  // namespace deeppcr::models
