#include "models/layer_kernels.hpp"

#include <algorithm>
#include <limits>

namespace deeppcr::models {

namespace {

/// Reals of a tile of columns: with its image it stays in the first-level cache until it is scaled.
constexpr Index kTileReals = 1536;
/// Wider matrices fill the caches by themselves: their products are cut into tiles already.
constexpr int kWidestTiled = 64;
/// From this number of columns on, transposing W once is cheaper than dot products for each.
constexpr Index kTransposeFrom = 8;

// y = s .* x
void multiply(Index count, const Real* s, const Real* x, Real* y) {
#pragma GCC ivdep
  for (Index i = 0; i < count; ++i) y[i] = s[i] * x[i];
}

// y += x
void add(Index count, const Real* x, Real* y) {
#pragma GCC ivdep
  for (Index i = 0; i < count; ++i) y[i] += x[i];
}

// y = z + h y
void scale_and_add(Index count, Real h, const Real* z, Real* y) {
#pragma GCC ivdep
  for (Index i = 0; i < count; ++i) y[i] = z[i] + h * y[i];
}

void add_identity(int n, Real* A) {
  for (Index i = 0; i < n; ++i) A[i * n + i] += 1;
}

}  // namespace

LayerKernels::LayerKernels(const StepShape& shape, blocks::BlocksFrom weights)
    : shape_(shape),
      n_(shape.width),
      product_(n_, false),
      transposed_product_(n_, false),
      accumulated_transposed_product_(n_, true),
      multiply_add_(n_, n_, weights),
      multiply_pair_(n_, weights),
      tight_(tight_kernels(shape, weights)),
      transposed_add_(n_),
      transposed_add_outer_(n_),
      zeros_(n_),
      most_columns_(n_ <= kWidestTiled ? kTileReals / n_ : std::numeric_limits<Index>::max()),
      kernels_(choose_kernels(n_)) {}

bool LayerKernels::has_slopes() const {
  return shape_.activation != Activation::identity || shape_.scale != 1;
}

Index LayerKernels::num_slopes(Index batch) const {
  return has_slopes() ? shape_.layers * batch * n_ : 0;
}

void LayerKernels::forward(const Real* theta, Index batch, const Real* z, Real* y, Real* slopes) {
  hidden_forward(theta, batch, z, y, slopes);
}

void LayerKernels::forward_with_tangent(const Real* theta, Index batch, const Real* z, Real* y,
                                        Index sample, Real* tangent) {
  Real* slopes = tangent_.get((shape_.layers + 1) * n_ + num_slopes(batch));
  Real* image = slopes + num_slopes(batch);
  Real* own = image + n_;
  // The slopes of the one sample, [layers, n]; they may follow from its values.
  const bool told = shape_.layers == 1 && !shape_.skip && shape_.scale == 1 &&
                    slope_from_value(shape_.activation, 0, nullptr, nullptr);
  const Real* of_sample = told ? own : slopes;
  hidden_forward(theta, batch, z, y, told ? nullptr : slopes);
  if (told) {
    slope_from_value(shape_.activation, n_, y + sample * n_, own);
  } else if (batch > 1 && has_slopes()) {
    for (int j = 0; j < shape_.layers; ++j)
      std::copy_n(slopes + (j * batch + sample) * n_, n_, own + j * n_);
    of_sample = own;
  }
  push(theta, of_sample, {0, 1, 1, 1}, tangent, image);
  std::copy_n(image, n_, tangent);
}

/// forward(); returns the outputs of all layers but the last, [layers - 1, B, n], in scratch.
const Real* LayerKernels::hidden_forward(const Real* theta, Index batch, const Real* z, Real* y,
                                         Real* slopes) {
  const Index size = batch * n_;
  const int last = shape_.layers - 1;
  Real* hidden = last > 0 ? hidden_.get(last * size) : nullptr;
  const Real* x = z;
  for (int j = 0; j <= last; ++j) {
    // a = W x + b; next x = sigma(a)
    Real* a = j == last ? y : hidden + j * size;
    const Real* W = theta + shape_.weight_offset(j);
    multiply_add_(W, batch, x, bias(theta, j), a);
    if (slopes != nullptr && has_slopes()) {
      activate_with_slope(shape_.activation, size, a, a, slopes + j * size);
    } else if (shape_.activation != Activation::identity) {
      activate(shape_.activation, size, a, a);
    }
    x = a;
  }
  const Real h = shape_.scale;
  if (shape_.skip) scale_and_add(size, h, z, y);
  if (slopes != nullptr && h != 1) {
    Real* s = slopes + last * size;
    for (Index i = 0; i < size; ++i) s[i] *= h;
  }
  return hidden;
}

/// Y = sigma'_layer .* X, each column with the slopes of its sample. Y may be X.
void LayerKernels::scale(const Real* slopes, int layer, const Columns& c, const Real* X,
                         Real* Y) const {
  const Real* s = slopes + layer * c.batch * n_;
  if (c.per_sample == 1) {
    multiply(c.count * n_, s + c.first * n_, X, Y);
    return;
  }
  Index sample = c.first == 0 ? 0 : c.first / c.per_sample;
  for (Index done = 0; done < c.count; ++sample) {
    const Index run = std::min((sample + 1) * c.per_sample - c.first, c.count) - done;
    kernels_.scale_run(n_, run, s + sample * n_, X + done * n_, Y + done * n_);
    done += run;
  }
}

/// body(Columns) for pieces of [0, batch * per_sample) that suit the cache.
template <typename Body>
void LayerKernels::for_tiles(Index batch, Index per_sample, Body&& body) {
  const Index columns = batch * per_sample;
  if (columns <= most_columns_) {
    body(Columns{0, columns, per_sample, batch});
    return;
  }
  const Index tiles = (columns + most_columns_ - 1) / most_columns_;
  const Index tile = (columns + tiles - 1) / tiles;
  for (Index first = 0; first < columns; first += tile)
    body(Columns{first, std::min(tile, columns - first), per_sample, batch});
}

/// Y = A X for some columns; X null stands for the identity.
void LayerKernels::push(const Real* theta, const Real* slopes, const Columns& c, const Real* X,
                        Real* Y) {
  const Index size = c.count * n_;
  const int last = shape_.layers - 1;
  Real* scratch = last > 0 ? panels_.get(2 * size) : nullptr;
  const Real* x = X;
  for (int j = 0; j <= last; ++j) {
    // y = sigma'_j .* (W_j x)
    Real* y = j == last ? Y : scratch + (j % 2) * size;
    const Real* W = theta + shape_.weight_offset(j);
    if (x == nullptr) {
      std::copy_n(W, size, y);
    } else if (c.count == 1) {
      multiply_add_(W, 1, x, zeros_.data(), y);
    } else {
      product_(W, c.count, x, y);
    }
    if (has_slopes()) scale(slopes, j, c, y, y);
    x = y;
  }
  if (!shape_.skip) return;
  if (X != nullptr) {
    add(size, X, Y);
  } else {
    add_identity(n_, Y);
  }
}

/// Y = start + A^T X for some columns; start null stands for zero.
void LayerKernels::pull(const Real* theta, const Real* slopes, const Columns& c, const Real* X,
                        const Real* start, Real* Y) {
  const Index size = c.count * n_;
  Real* scaled = panels_.get(3 * size);
  Real* between = scaled + size;
  const Real* x = X;
  for (int j = shape_.layers - 1; j >= 0; --j) {
    // y = W_j^T (sigma'_j .* x)
    Real* y = j == 0 ? Y : between + (j % 2) * size;
    if (has_slopes()) {
      scale(slopes, j, c, x, scaled);
      x = scaled;
    }
    transposed_product(theta + shape_.weight_offset(j), c.count, x, j == 0 ? start : nullptr, y);
    x = y;
  }
  if (shape_.skip) add(size, X, Y);
}

/// Y = start + W^T X; start null stands for zero.
void LayerKernels::transposed_product(const Real* W, Index columns, const Real* X,
                                      const Real* start, Real* Y) {
  if (columns < kTransposeFrom) {
    for (Index c = 0; c < columns; ++c)
      transposed_add_(W, X + c * n_, start == nullptr ? zeros_.data() : start + c * n_, Y + c * n_);
  } else if (start == nullptr) {
    transposed_product_(W, columns, X, Y);
  } else {
    if (start != Y) std::copy_n(start, columns * n_, Y);
    accumulated_transposed_product_(W, columns, X, Y);
  }
}

void LayerKernels::jvp(const Real* theta, const Real* slopes, Index batch, Index k, const Real* V,
                       Real* W) {
  for_tiles(batch, k,
            [&](const Columns& c) { push(theta, slopes, c, V + c.first * n_, W + c.first * n_); });
}

void LayerKernels::vjp(const Real* theta, const Real* slopes, Index batch, Index k, const Real* V,
                       Real* W) {
  for_tiles(batch, k, [&](const Columns& c) {
    pull(theta, slopes, c, V + c.first * n_, nullptr, W + c.first * n_);
  });
}

/// For steps of one layer: sigma' .* g.
const Real* LayerKernels::scaled_gradient(const BackwardStep& step, Index batch) {
  if (!has_slopes()) return step.g;
  Real* delta = gradient_.get(batch * n_);
  multiply(batch * n_, step.slopes, step.g, delta);
  return delta;
}

void LayerKernels::substitute_transposed(const BackwardStep& step, Index batch) {
  if (shape_.layers > 1) {
    for_tiles(batch, 1, [&](const Columns& c) {
      const Index at = c.first * n_;
      pull(step.theta, step.slopes, c, step.g + at, step.c == nullptr ? nullptr : step.c + at,
           step.out + at);
    });
    return;
  }
  transposed_product(step.theta, batch, scaled_gradient(step, batch), step.c, step.out);
  if (shape_.skip) add(batch * n_, step.g, step.out);
}

void LayerKernels::backpropagate(const BackwardStep& step, Index batch) {
  if (shape_.layers > 1) {
    substitute_transposed(step, batch);
    parameter_gradient(step.theta, batch, step.z, step.g, step.grad);
    return;
  }
  const Real* delta = scaled_gradient(step, batch);
  if (batch == 1) {
    transposed_add_outer_({step.theta, delta, step.z, step.c == nullptr ? zeros_.data() : step.c,
                           step.out, step.grad});
    if (shape_.bias) std::copy_n(delta, n_, step.grad + shape_.bias_offset(0));
  } else {
    layer_gradient(0, batch, step.z, delta, step.grad);
    transposed_product(step.theta, batch, delta, step.c, step.out);
  }
  if (shape_.skip) add(batch * n_, step.g, step.out);
}

void LayerKernels::jacobian(const Real* theta, const Real* slopes, Index batch, Real* A) {
  for (Index b = 0; b < batch; ++b)
    push(theta, slopes, {b * n_, n_, n_, batch}, nullptr, A + b * n_ * n_);
}

void LayerKernels::parameter_gradient(const Real* theta, Index batch, const Real* z, const Real* g,
                                      Real* grad) {
  const Index size = batch * n_;
  const int last = shape_.layers - 1;
  Real* delta = gradient_.get((3 + shape_.layers) * size);
  Real* back = delta + size;
  Real* y = back + size;
  Real* slopes = y + size;
  const Real* hidden = hidden_forward(theta, batch, z, y, slopes);
  const Columns columns{0, batch, 1, batch};
  const Real* g_out = g;
  for (int j = last; j >= 0; --j) {
    // delta = d loss / d a_j; dW = delta x^T; db = sum of delta; then d loss / d x = W^T delta
    if (has_slopes()) {
      scale(slopes, j, columns, g_out, delta);
    } else {
      std::copy_n(g_out, size, delta);
    }
    layer_gradient(j, batch, j == 0 ? z : hidden + (j - 1) * size, delta, grad);
    if (j > 0) transposed_product(theta + shape_.weight_offset(j), batch, delta, nullptr, back);
    g_out = back;
  }
}

void LayerKernels::single_layer_gradient(const Real* slopes, Index batch, const Real* z,
                                         const Real* g, Real* grad) {
  if (has_slopes()) {
    Real* delta = gradient_.get(batch * n_);
    multiply(batch * n_, slopes, g, delta);
    g = delta;
  }
  layer_gradient(0, batch, z, g, grad);
}

void LayerKernels::layer_gradient(int layer, Index batch, const Real* x, const Real* delta,
                                  Real* grad) {
  if (batch != outer_batch_) {
    outer_product_ = blocks::Gemm<Real>(n_, n_, static_cast<int>(batch), false);
    outer_batch_ = batch;
  }
  const Real* xt = x;
  if (batch > 1) {
    Real* transposed = input_transposed_.get(batch * n_);
    blocks::transpose(n_, static_cast<int>(batch), x, transposed);
    xt = transposed;
  }
  outer_product_(delta, xt, grad + shape_.weight_offset(layer));
  if (!shape_.bias) return;
  kernels_.sum(n_, batch, delta, grad + shape_.bias_offset(layer));
}

}  // namespace deeppcr::models
