#include "deeppcr/models/dense_layer.hpp"

#include <cmath>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/error.hpp"
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

double mean_square(View<Real, 1> y, const Real* target) {
  const auto count = static_cast<Real>(y.size());
  double sum = 0;
  for (Index i = 0; i < y.size(); ++i) {
    const Real difference = y(i) - target[i];
    sum += difference * difference;
    y(i) = 2 * difference / count;
  }
  return sum / count;
}

void dense_initialise(const DenseShape& layer, std::uint64_t seed, std::uint64_t role,
                      Real* theta) {
  Real* own = theta + layer.offset;
  RandomStream(seed, role).uniform(0, layer.size(), own);
  const Real bound = 1 / std::sqrt(layer.inputs);
  for (Index i = 0; i < layer.size(); ++i) own[i] = bound * (2 * own[i] - 1);
}

std::string to_string(LayerRole role) {
  return role == LayerRole::embedding ? "embedding" : "head";
}

DenseLayer::DenseLayer(LayerRole role, int inputs, int outputs, std::uint64_t seed)
    : role_(role), shape_{inputs, outputs, 0} {
  if (inputs < 1 || outputs < 1)
    throw input_error("a layer from {} to {} numbers is not possible: 1 or more", inputs, outputs);
  parameters_ = Buffer<Real>(shape_.size());
  dense_initialise(shape_, seed, static_cast<std::uint64_t>(role), parameters_.data());
}

std::vector<sequence::ParameterGroup> DenseLayer::groups() {
  const std::string name = to_string(role_);
  return {{name, false, shape_.inputs + 1, rows(), "weights by input, then the bias: " + name}};
}

void DenseLayer::forward(ConstState x, State y) const {
  dense_forward(shape_, parameters_.data(), x, y);
}

void DenseLayer::gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                          State input_gradient) const {
  dense_gradient(shape_, parameters_.data(), x, g,
                 parameter_gradient.size() > 0 ? parameter_gradient.data() : nullptr,
                 input_gradient);
}

}  // namespace deeppcr::models
