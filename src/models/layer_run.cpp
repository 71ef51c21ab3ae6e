// A chain's steps one after another: what sequential execution is.
#include "layer_kernels.hpp"

namespace deeppcr::models {

void LayerKernels::run(const Real* theta, Index steps, Index batch, const Real* z, Real* states) {
  const Index size = batch * n_, parameters = shape_.parameters();
  if (batch > 1 || shape_.layers > 1 || !shape_.bias || shape_.skip) {
    for (; steps > 0; --steps, theta += parameters, z = states, states += size)
      forward(theta, batch, z, states, nullptr);
    return;
  }
  // A narrow layer takes some nanoseconds: what is the same for all is looked up once.
  const Index W = shape_.weight_offset(0), b = shape_.bias_offset(0);
  const ActivationFunction sigma =
      shape_.activation == Activation::identity ? nullptr : activation_function(shape_.activation);
  for (; steps > 0; --steps, theta += parameters, z = states, states += size) {
    multiply_add_(theta + W, z, theta + b, states);
    if (sigma != nullptr) sigma(size, states, states);
  }
}

}  // namespace deeppcr::models
