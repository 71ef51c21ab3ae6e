#include "deeppcr/models/dense_kernels.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/blocks/batch_product.hpp"
#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

void dense_forward(const DenseShape& layer, const Real* theta, ConstState x, State y) {
  // y = W x + b
  blocks::BatchProduct(layer.outputs, layer.inputs)(theta + layer.offset, x.extent(0), x.data(),
                                                    theta + layer.bias_offset(), y.data());
}

void dense_gradient(const DenseShape& layer, const Real* theta, ConstState x, ConstState g,
                    Real* gradient, State input_gradient) {
  const auto batch = static_cast<int>(x.extent(0));
  if (gradient != nullptr) {
    // dW = g x^T, db = sum over samples of g
    Buffer<Real> xt(x.size());
    blocks::transpose(layer.inputs, batch, x.data(), xt.data());
    blocks::Gemm<Real>(layer.outputs, layer.inputs, batch, false)(g.data(), xt.data(),
                                                                  gradient + layer.offset);
    Real* db = gradient + layer.bias_offset();
    std::fill_n(db, layer.outputs, Real{0});
    for (int s = 0; s < batch; ++s)
      for (int i = 0; i < layer.outputs; ++i) db[i] += g(s, i);
  }
  if (input_gradient.size() > 0) {
    // dx = W^T g
    blocks::GemmTransposed(layer.inputs, batch, layer.outputs, false)(
        theta + layer.offset, g.data(), input_gradient.data());
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
