#include "models/layer_kernels.hpp"

#include <algorithm>

#include "models/room.hpp"

namespace deeppcr::models {

namespace {

using blocks::add;

}  // namespace

LayerKernels::LayerKernels(const StepShape& shape, bool far)
    : shape_(shape), n_(shape.width), product_(n_, n_), transposed_product_(n_, n_) {
  if (shape.layers == 1 && shape.bias)
    narrow_ = blocks::layer_steps(n_, shape.activation, shape.skip, far);
}

void LayerKernels::run(const Real* theta, Index steps, Index batch, const Real* z, Real* states) {
  if (batch == 1 && narrow_.run != nullptr)
    return narrow_.run({theta, steps, z, states, shape_.scale, nullptr});
  for (; steps > 0; --steps, theta += shape_.parameters(), z = states, states += batch * n_)
    forward(theta, batch, z, states, nullptr);
}

void LayerKernels::run_with_tangent(const Real* theta, Index steps, Index batch, const Real* z,
                                    Real* states, Index sample, Real* tangent) {
  if (batch == 1 && narrow_.run != nullptr)
    return narrow_.run_with_tangent({theta, steps, z, states, shape_.scale, tangent});
  Real* image = room(tangent_, n_ + num_slopes(batch));
  Real* slopes = image + n_;
  for (; steps > 0; --steps, theta += shape_.parameters(), z = states, states += batch * n_) {
    forward(theta, batch, z, states, slopes);
    push(theta, slopes, {sample, 1, 1, batch}, tangent, image);
    std::copy_n(image, n_, tangent);
  }
}

const Real* LayerKernels::forward(const Real* theta, Index batch, const Real* z, Real* y,
                                  Real* slopes) {
  const Index size = batch * n_;
  const int last = shape_.layers - 1;
  Real* hidden = room(hidden_, last * size);
  const Real* x = z;
  for (int j = 0; j <= last; ++j) {
    // a = W x + b; next x = sigma(a)
    Real* a = j == last ? y : hidden + j * size;
    const Real* b = shape_.bias ? theta + shape_.bias_offset(j) : nullptr;
    product_(theta + shape_.weight_offset(j), batch, x, b, a);
    if (slopes != nullptr && has_slopes()) {
      activate_with_slope(shape_.activation, size, a, a, slopes + j * size);
    } else if (shape_.activation != Activation::identity) {
      activate(shape_.activation, size, a, a);
    }
    x = a;
  }
  const Real h = shape_.scale;
  if (shape_.skip) {
#pragma GCC ivdep
    for (Index i = 0; i < size; ++i) y[i] = z[i] + h * y[i];
  }
  if (slopes != nullptr && h != 1) {
    Real* s = slopes + last * size;
    for (Index i = 0; i < size; ++i) s[i] *= h;
  }
  return hidden;
}

/// Y = sigma'_layer .* X, each column with the slopes of its sample. Y may be X.
void LayerKernels::scale(const Real* slopes, int layer, const Columns& c, const Real* X,
                         Real* Y) const {
  const Real* s = slopes + (layer * c.batch + c.first) * n_;
  if (c.per_sample == 1) {
#pragma GCC ivdep
    for (Index i = 0; i < c.samples * n_; ++i) Y[i] = s[i] * X[i];
    return;
  }
  const Index size = c.per_sample * n_;
  for (Index b = 0; b < c.samples; ++b)
    blocks::scale_columns(n_, c.per_sample, s + b * n_, X + b * size, Y + b * size);
}

/// Y = A X for some columns; X null stands for the identity.
void LayerKernels::push(const Real* theta, const Real* slopes, const Columns& c, const Real* X,
                        Real* Y) {
  const Index size = c.count() * n_;
  const int last = shape_.layers - 1;
  Real* scratch = room(panels_, last > 0 ? 2 * size : 0);
  const Real* x = X;
  for (int j = 0; j <= last; ++j) {
    // y = sigma'_j .* (W_j x)
    Real* y = j == last ? Y : scratch + (j % 2) * size;
    const Real* W = theta + shape_.weight_offset(j);
    if (x == nullptr) {
      std::copy_n(W, size, y);
    } else {
      product_(W, c.count(), x, nullptr, y);
    }
    if (has_slopes()) scale(slopes, j, c, y, y);
    x = y;
  }
  if (!shape_.skip) return;
  if (X != nullptr) return add(size, X, Y);
  for (Index i = 0; i < n_; ++i) Y[i * n_ + i] += 1;
}

/// Y = start + A^T X for some columns; start null stands for zero.
void LayerKernels::pull(const Real* theta, const Real* slopes, const Columns& c, const Real* X,
                        const Real* start, Real* Y) {
  const Index size = c.count() * n_;
  Real* scaled = room(panels_, 3 * size);
  Real* between = scaled + size;
  const Real* x = X;
  for (int j = shape_.layers - 1; j >= 0; --j) {
    // y = W_j^T (sigma'_j .* x)
    Real* y = j == 0 ? Y : between + (j % 2) * size;
    if (has_slopes()) {
      scale(slopes, j, c, x, scaled);
      x = scaled;
    }
    transposed_product_(theta + shape_.weight_offset(j), c.count(), x, j == 0 ? start : nullptr, y);
    x = y;
  }
  if (shape_.skip) add(size, X, Y);
}

void LayerKernels::product(Direction direction, const Real* theta, const Real* slopes, ConstPanel V,
                           Panel W) {
  const Columns all{0, V.extent(0), V.extent(1), V.extent(0)};
  if (direction == Direction::forward) {
    push(theta, slopes, all, V.data(), W.data());
  } else {
    pull(theta, slopes, all, V.data(), nullptr, W.data());
  }
}

void LayerKernels::jacobian(const Real* theta, const Real* slopes, Index batch, Real* A) {
  for (Index b = 0; b < batch; ++b)
    push(theta, slopes, {b, 1, n_, batch}, nullptr, A + b * n_ * n_);
}

void LayerKernels::substitute_transposed(const BackwardStep& step, Index batch) {
  pull(step.theta, step.slopes, {0, batch, 1, batch}, step.g, step.c, step.out);
}

/// For steps of one layer: sigma' .* g.
const Real* LayerKernels::scaled_gradient(const Real* slopes, Index batch, const Real* g) {
  if (!has_slopes()) return g;
  Real* delta = room(gradient_, batch * n_);
  scale(slopes, 0, {0, batch, 1, batch}, g, delta);
  return delta;
}

void LayerKernels::backpropagate(const BackwardStep& step, Index batch) {
  if (shape_.layers > 1) {
    substitute_transposed(step, batch);
    parameter_gradient(step.theta, batch, step.z, step.g, step.grad);
    return;
  }
  const Real* delta = scaled_gradient(step.slopes, batch, step.g);
  if (batch == 1) {
    transposed_product_.with_outer(step.theta, delta, step.z, step.c, step.out, step.grad);
    if (shape_.bias) std::copy_n(delta, n_, step.grad + shape_.bias_offset(0));
  } else {
    layer_gradient(0, batch, step.z, delta, step.grad);
    transposed_product_(step.theta, batch, delta, step.c, step.out);
  }
  if (shape_.skip) add(batch * n_, step.g, step.out);
}

void LayerKernels::parameter_gradient(const Real* theta, Index batch, const Real* z, const Real* g,
                                      Real* grad) {
  const Index size = batch * n_;
  Real* delta = room(gradient_, (3 + shape_.layers) * size);
  Real* back = delta + size;
  Real* y = back + size;
  Real* slopes = y + size;
  const Real* hidden = forward(theta, batch, z, y, slopes);
  for (int j = shape_.layers - 1; j >= 0; --j) {
    // delta = d loss / d a_j; dW = delta x^T; db = sum of delta; then d loss / d x = W^T delta
    if (has_slopes()) {
      scale(slopes, j, {0, batch, 1, batch}, g, delta);
    } else {
      std::copy_n(g, size, delta);
    }
    layer_gradient(j, batch, j == 0 ? z : hidden + (j - 1) * size, delta, grad);
    if (j > 0) transposed_product_(theta + shape_.weight_offset(j), batch, delta, nullptr, back);
    g = back;
  }
}

void LayerKernels::layer_gradient(int layer, Index batch, const Real* x, const Real* delta,
                                  Real* grad) {
  blocks::layer_gradient({n_, n_, shape_.bias}, batch, x, delta,
                         room(transposed_, (n_ + 1) * batch), grad + shape_.weight_offset(layer));
}

}  // namespace deeppcr::models
