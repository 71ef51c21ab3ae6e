// A chain's steps one after another: what sequential execution is, and shooting's sweeps.
#include <algorithm>

#include "models/layer_kernels.hpp"

namespace deeppcr::models {

// Where no kernel was compiled for the width, what is the same for all steps is looked up once.
bool LayerKernels::is_single(Index batch) const { return batch == 1 && shape_.layers == 1; }

void LayerKernels::run(const Real* theta, Index steps, Index batch, const Real* z, Real* states) {
  const Index size = batch * n_, parameters = shape_.parameters();
  if (!is_single(batch)) {
    for (; steps > 0; --steps, theta += parameters, z = states, states += size)
      forward(theta, batch, z, states, nullptr);
    return;
  }
  if (tight_.run != nullptr) {
    tight_.run({theta, steps, z, states, shape_.scale});
    return;
  }
  const Index W = shape_.weight_offset(0);
  const bool linear = shape_.activation == Activation::identity;
  const auto sigma = activation_functions(shape_.activation).value;
  const Real h = shape_.scale;
  for (; steps > 0; --steps, theta += parameters, z = states, states += size) {
    multiply_add_(theta + W, 1, z, bias(theta, 0), states);
    if (!linear) sigma(size, states, states);
    if (!shape_.skip) continue;
#pragma GCC ivdep
    for (Index i = 0; i < size; ++i) states[i] = z[i] + h * states[i];
  }
}

void LayerKernels::run_with_tangent(const Real* theta, Index steps, Index batch, const Real* z,
                                    Real* states, Index sample, Real* tangent) {
  const Index size = batch * n_, parameters = shape_.parameters();
  if (!is_single(batch)) {
    for (; steps > 0; --steps, theta += parameters, z = states, states += size)
      forward_with_tangent(theta, batch, z, states, sample, tangent);
    return;
  }
  if (tight_.run_with_tangent != nullptr) {
    tight_.run_with_tangent({theta, steps, z, states, shape_.scale}, tangent);
    return;
  }
  const Index W = shape_.weight_offset(0);
  const bool linear = shape_.activation == Activation::identity;
  const auto sigma = activation_functions(shape_.activation).with_slope;
  const Real h = shape_.scale, kept = shape_.skip ? 1 : 0;
  Real *slopes = tangent_.get(2 * n_), *image = slopes + n_;
  std::fill_n(slopes, n_, 1.0);
  for (; steps > 0; --steps, theta += parameters, z = states, states += size) {
    // The weights are read once for both products; the state has the bits of run().
    if (multiply_add_.one_by_gemv()) {
      multiply_pair_({theta + W, z, bias(theta, 0), tangent, states, image});
    } else {
      multiply_add_(theta + W, 1, z, bias(theta, 0), states);
      multiply_add_(theta + W, 1, tangent, zeros_.data(), image);
    }
    if (!linear) sigma(size, states, states, slopes);
#pragma GCC ivdep
    for (Index i = 0; i < n_; ++i) tangent[i] = kept * tangent[i] + h * (slopes[i] * image[i]);
    if (!shape_.skip) continue;
#pragma GCC ivdep
    for (Index i = 0; i < size; ++i) states[i] = z[i] + h * states[i];
  }
}

}  // namespace deeppcr::models
