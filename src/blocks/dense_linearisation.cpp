#include "deeppcr/blocks/dense_linearisation.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::blocks {

DenseLinearisation::DenseLinearisation(StepRange range, Index batch, int width)
    : range_(range),
      batch_(batch),
      width_(width),
      blocks_(range.size() * batch * width * width),
      transposed_(Index{width} * width),
      column_(width, 1, width, false),
      panel_(width, width + 1, width, false),
      square_(width, width, width, false),
      multiply_add_(width),
      transposed_add_(width) {}

Blocks DenseLinearisation::storage() {
  return {blocks_.data(), {range_.size(), batch_, width_, width_}};
}

const Real* DenseLinearisation::block(Index l, Index b) const {
  return blocks_.data() + ((l - range_.first) * batch_ + b) * width_ * width_;
}

void DenseLinearisation::product(Index l, Direction direction, ConstPanel V, Panel W) const {
  if (direction == Direction::forward) {
    multiply(l, V, W);
  } else {
    multiply_transposed(l, V, W);
  }
}

void DenseLinearisation::multiply(Index l, ConstPanel V, Panel W) const {
  const Index k = V.extent(1), column = width_;
  for (Index b = 0; b < batch_; ++b) {
    const Real* A = block(l, b);
    const Real* v = V.data() + b * k * column;
    Real* w = W.data() + b * k * column;
    if (k == 1) {
      column_(A, v, w);
    } else if (k == width_ + 1) {
      panel_(A, v, w);
    } else {
      for (Index j = 0; j < k; ++j) column_(A, v + j * column, w + j * column);
    }
  }
}

void DenseLinearisation::multiply_transposed(Index l, ConstPanel V, Panel W) const {
  const Index k = V.extent(1), column = width_;
  for (Index b = 0; b < batch_; ++b) {
    const Real* A = block(l, b);
    const Real* v = V.data() + b * k * column;
    Real* w = W.data() + b * k * column;
    if (k == width_ + 1) {
      transpose(width_, width_, A, transposed_.data());
      panel_(transposed_.data(), v, w);
      continue;
    }
    std::fill(w, w + k * column, 0.0);
    for (Index j = 0; j < k; ++j) gemv_transposed_add(width_, A, v + j * column, w + j * column);
  }
}

void DenseLinearisation::substitute(StepRange range, Direction direction, ConstStates rhs,
                                    States result, State carry) const {
  if (direction == Direction::forward) {
    substitute_forward(range, rhs, result, carry);
  } else {
    substitute_backward(range, rhs, result, carry);
  }
}

void DenseLinearisation::substitute_forward(StepRange range, ConstStates rhs, States result,
                                            State carry) const {
  const Index n = width_, state = batch_ * n;
  const Real* before = carry.data();
  const Real* A = block(range.first, 0);
  const Real* r = rhs.data();
  Real* d = result.data();
  for (Index l = range.first; l < range.last; ++l, r += state, d += state) {
    // d_l = r_l + A_l d_{l-1}, sample by sample
    for (Index b = 0; b < batch_; ++b, A += n * n)
      multiply_add_(A, before + b * n, r + b * n, d + b * n);
    before = d;
  }
  if (!range.empty()) std::copy_n(before, state, carry.data());
}

void DenseLinearisation::substitute_backward(StepRange range, ConstStates rhs, States result,
                                             State carry) const {
  const Index n = width_, state = batch_ * n, m = range.size();
  if (range.empty()) return;
  // g_l = c_l + A_{l+1}^T g_{l+1}; from the right the carry stands for the product
  Real* g = result.data() + (m - 1) * state;
  const Real* last = row_at(rhs, m, m - 1);
  for (Index j = 0; j < state; ++j)
    g[j] = last == nullptr ? carry.data()[j] : carry.data()[j] + last[j];
  const Real* A = block(range.last, 0);
  for (Index i = m - 1; i > 0; --i, g -= state) {
    const Real* c = row_at(rhs, m, i - 1);
    if (c == nullptr) {
      std::fill_n(g - state, state, 0.0);
      c = g - state;
    }
    for (Index b = batch_ - 1; b >= 0; --b)
      transposed_add_(A -= n * n, g + b * n, c + b * n, g - state + b * n);
  }
  std::fill(carry.begin(), carry.end(), 0.0);
  for (Index b = batch_ - 1; b >= 0; --b)
    transposed_add_(A -= n * n, g + b * n, carry.data() + b * n, carry.data() + b * n);
}

void DenseLinearisation::eliminate(StepRange range, Direction direction, ConstStates rhs, Panel map,
                                   Panel scratch) const {
  if (direction == Direction::forward) {
    eliminate_forward(range, rhs, map, scratch);
  } else {
    eliminate_backward(range, rhs, map, scratch);
  }
}

void DenseLinearisation::eliminate_forward(StepRange range, ConstStates rhs, Panel map,
                                           Panel scratch) const {
  const Index n = width_, panel = n * (n + 1);
  const Real* A = block(range.first, 0);
  const Real* r = rhs.data();
  Real *from = map.data(), *to = scratch.data();
  for (Index l = range.first; l < range.last; ++l, std::swap(from, to)) {
    for (Index b = 0; b < batch_; ++b, A += n * n, r += n) {
      // V <- A_l V + [0 | r_l]
      Real* V = to + b * panel;
      panel_(A, from + b * panel, V);
      for (Index i = 0; i < n; ++i) V[n * n + i] += r[i];
    }
  }
  if (from != map.data()) std::copy_n(from, batch_ * panel, map.data());
}

// With U = V^T: U <- U A and v <- A^T (v + c), so that no block is transposed.
void DenseLinearisation::eliminate_backward(StepRange range, ConstStates rhs, Panel map,
                                            Panel scratch) const {
  const Index n = width_, square = n * n, panel = square + n, m = range.size();
  Real *from = scratch.data(), *to = map.data();
  for (Index b = 0; b < batch_; ++b) {
    transpose(width_, width_, to + b * panel, from + b * panel);
    std::copy_n(to + b * panel + square, n, from + b * panel + square);
  }
  for (Index i = m - 1; i >= 0; --i, std::swap(from, to)) {
    const Real* c = row_at(rhs, m, i);
    for (Index b = batch_ - 1; b >= 0; --b) {
      const Real* A = block(range.first + i, b);
      Real *U = from + b * panel, *v = U + square, *image = to + b * panel + square;
      if (c != nullptr)
        for (Index j = 0; j < n; ++j) v[j] += c[b * n + j];
      square_(U, A, to + b * panel);
      std::fill_n(image, n, 0.0);
      transposed_add_(A, v, image, image);
    }
  }
  for (Index b = 0; b < batch_; ++b) {
    transpose(width_, width_, from + b * panel, to + b * panel);
    std::copy_n(from + b * panel + square, n, to + b * panel + square);
  }
  if (to != map.data()) std::copy_n(to, batch_ * panel, map.data());
}

void DenseLinearisation::blocks(StepRange range, Blocks A) const {
  DEEPPCR_ASSERT(range_.first <= range.first && range.last <= range_.last, "[{}, {}) of [{}, {})",
                 range.first, range.last, range_.first, range_.last);
  std::copy(block(range.first, 0), block(range.last, 0), A.data());
}

}  // namespace deeppcr::blocks
