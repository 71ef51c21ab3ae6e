#include "models/recurrent_linearisation.hpp"

#include <algorithm>
#include <utility>

#include "models/room.hpp"

namespace deeppcr::models {

RecurrentLinearisation::RecurrentLinearisation(std::shared_ptr<RecurrentSteps> steps,
                                               const sequence::Inputs& inputs, StepRange range,
                                               Index batch)
    : steps_(std::move(steps)),
      inputs_(inputs),
      range_(range),
      batch_(batch),
      memory_({steps_, &steps_->pool}, range.size() * batch * steps_->kept_reals()) {
  const CellShape& shape = steps_->shape();
  kept_ = {range.size() * batch, steps_->slope_reals(), shape.units, memory_.data(), nullptr};
  kept_.hidden = kept_.slopes_of(shape.layers, 0);
}

blocks::Structure RecurrentLinearisation::structure() const { return steps_->shape().structure(); }

/// W = A V, the layers from below.
void RecurrentLinearisation::push(const Part& part, const Real* V, Real* W) const {
  const CellShape& shape = steps_->shape();
  RecurrentSteps::Scratch& scratch = steps_->scratch;
  const Index S = shape.state_width(), w = shape.layer_width(), n = shape.units;
  const Index count = part.count();
  for (int layer = 0; layer < shape.layers; ++layer) {
    const Real* v = gathered(count, V + layer * w, S, w, scratch.columns);
    Real* image = shape.layers == 1 ? W : room(scratch.images, count * w);
    Real* tu = nullptr;
    if (layer > 0) {
      // what the layer below has left in `image`
      const Real* h = gathered(count, image, w, n, scratch.dx);
      tu = room(scratch.du, count * shape.gate_reals());
      steps_->input_product(layer)(steps_->input_weights(layer), count, h, nullptr, tu);
    }
    steps_->cell(layer).push(columns(layer, part), v, tu, image);
    if (shape.layers > 1) scatter(count, image, w, W + layer * w, S);
  }
}

Real* RecurrentLinearisation::layer_gradient(int layer, const Part& part, const Real* V,
                                             const Real* dx) const {
  const CellShape& shape = steps_->shape();
  const Index S = shape.state_width(), w = shape.layer_width(), n = shape.units;
  Real* g = room(steps_->scratch.gradients, part.count() * w);
  for (Index c = 0; c < part.count(); ++c) {
    const Index row = part.row + c / part.k;
    if (!has(row)) {
      std::fill_n(g + c * w, w, Real{0});
      continue;
    }
    std::copy_n(V + c * S + layer * w, w, g + c * w);
    if (dx != nullptr) blocks::add(n, dx + c * n, g + c * w);
  }
  return g;
}

/// W = A^T V, the layers from above.
void RecurrentLinearisation::pull(const Part& part, const Real* V, Real* W) const {
  const CellShape& shape = steps_->shape();
  RecurrentSteps::Scratch& scratch = steps_->scratch;
  const Index S = shape.state_width(), w = shape.layer_width(), count = part.count();
  Real* dx = nullptr;
  for (int layer = shape.layers - 1; layer >= 0; --layer) {
    const Real* g = layer_gradient(layer, part, V, dx);
    Real *du = room(scratch.du, count * shape.gate_reals()),
         *dv = room(scratch.dv, count * shape.gate_reals());
    Real* image = shape.layers == 1 ? W : room(scratch.images, count * w);
    steps_->cell(layer).pull(columns(layer, part), g, du, dv, image);
    if (shape.layers > 1) scatter(count, image, w, W + layer * w, S);
    if (layer == 0) break;
    dx = room(scratch.dx, count * shape.units);
    steps_->to_inputs(layer, count, du, dx);
  }
}

void RecurrentLinearisation::product(Index l, Direction direction, ConstPanel V, Panel W) const {
  const std::array<Index, 4> shape{1, V.extent(0), V.extent(1), V.extent(2)};
  product_each({l, l + 1}, direction, {V.data(), shape}, {W.data(), shape});
}

void RecurrentLinearisation::product_each(StepRange range, Direction direction,
                                          View<const Real, 4> V, View<Real, 4> W) const {
  const Index k = V.extent(2), size = batch_ * k * V.extent(3);
  const Index most = steps_->steps_at_once(batch_ * k);
  steps_->take(direction, range.size() * batch_ * k);
  for (Index from = 0; from < range.size(); from += most) {
    const Index m = std::min(most, range.size() - from);
    const Part part{row_of(range.first + from), m * batch_, k};
    const Real* v = V.data() + from * size;
    Real* image = W.data() + from * size;
    if (direction == Direction::forward) {
      push(part, v, image);
    } else {
      pull(part, v, image);
    }
    keep_ended({range.first + from, range.first + from + m}, batch_, inputs_, k * V.extent(3), v,
               image);
  }
}

void RecurrentLinearisation::push_tangent(Index l, Index sample, Real* tangent) const {
  const Index S = steps_->shape().state_width(), row = row_of(l) + sample;
  if (!has(row)) return;
  Real* image = room(steps_->scratch.carry, S);
  push({row, 1, 1}, tangent, image);
  std::copy_n(image, S, tangent);
}

void RecurrentLinearisation::diagonals(StepRange range, States D) const {
  const CellShape& shape = steps_->shape();
  const Index S = shape.state_width(), w = shape.layer_width();
  const Index rows = range.size() * batch_, most = steps_->steps_at_once(batch_) * batch_;
  steps_->take(Direction::forward, rows);
  for (Index from = 0; from < rows; from += most) {
    const Index count = std::min(most, rows - from), row = row_of(range.first) + from;
    Real* d = room(steps_->scratch.images, count * w);
    for (int layer = 0; layer < shape.layers; ++layer) {
      steps_->cell(layer).diagonals(count, kept_.slopes_of(layer, row), d);
      scatter(count, d, w, D.data() + from * S + layer * w, S);
    }
    for (Index i = 0; i < count; ++i)
      if (!has(row + i)) std::fill_n(D.data() + (from + i) * S, S, Real{1});
  }
}

bool RecurrentLinearisation::paired_diagonals(StepRange range, View<Real, 4> columns) const {
  const CellShape& shape = steps_->shape();
  if (shape.layers > 1 || !shape.has_memory()) return false;
  if (shape.is_diagonal()) return Linearisation::paired_diagonals(range, columns);
  const Index rows = range.size() * batch_, n = shape.units;
  steps_->take(Direction::forward, rows);
  if (rows > 0)
    steps_->cell(0).paired_diagonals(rows, kept_.slopes_of(0, row_of(range.first)), columns.data());
  for (Index row = 0; row < rows; ++row) {
    if (has(row_of(range.first) + row)) continue;
    Real* identity = columns.data() + row * 4 * n;
    std::fill_n(identity, 4 * n, Real{0});
    std::fill_n(identity, n, Real{1});
    std::fill_n(identity + 3 * n, n, Real{1});
  }
  return true;
}

void RecurrentLinearisation::substitute(StepRange range, Direction direction, ConstStates rhs,
                                        States result, State carry) const {
  if (direction == Direction::backward) {
    backpropagate(range, {ConstStates{}, rhs, result, carry, {}});
    return;
  }
  // d_l = A_l d_{l-1} + r_l, where r may lie in d's place
  const Index size = carry.size();
  steps_->take(Direction::forward, range.size() * batch_);
  Real* image = room(steps_->scratch.states, size);
  const Real* before = carry.data();
  for (Index i = 0; i < range.size(); ++i) {
    push({row_of(range.first + i), batch_, 1}, before, image);
    keep_ended({range.first + i, range.first + i + 1}, batch_, inputs_, carry.extent(1), before,
               image);
    const Real* r = rhs[i].data();
    Real* d = result[i].data();
    for (Index j = 0; j < size; ++j) d[j] = image[j] + r[j];
    before = d;
  }
  if (!range.empty()) std::copy_n(before, size, carry.data());
}

/// One layer through the steps of a part: g of each, du and dv of all, and the carry [B, w].
void RecurrentLinearisation::walk_back(int layer, StepRange part, StepRange range,
                                       const sequence::BackwardPass& pass, const Real* dx,
                                       Real* carry) const {
  const CellShape& shape = steps_->shape();
  const Index S = shape.state_width(), w = shape.layer_width(), n = shape.units;
  const Index G = batch_ * shape.gate_reals();
  Real *du = room(steps_->scratch.du, part.size() * G),
       *dv = room(steps_->scratch.dv, part.size() * G);
  Real *whole = room(steps_->scratch.gradients, 2 * batch_ * w), *g = whole + batch_ * w;
  for (Index l = part.last - 1; l >= part.first; --l) {
    const Index i = l - range.first, j = l - part.first;
    const Real* c = blocks::row_at(pass.loss, range.size(), i);
    Real* result = pass.gradient[i].data() + layer * w;
    for (Index b = 0; b < batch_; ++b) {
      // g = c + carry; the layer above adds to what this step hands it
      Real* all = whole + b * w;
      std::copy_n(carry + b * w, w, all);
      if (c != nullptr) blocks::add(w, c + b * S + layer * w, all);
      std::copy_n(all, w, result + b * S);
      std::copy_n(all, w, g + b * w);
      if (dx != nullptr) blocks::add(n, dx + (j * batch_ + b) * n, g + b * w);
      if (!has(row_of(l) + b)) std::fill_n(g + b * w, w, Real{0});
    }
    steps_->cell(layer).pull(columns(layer, {row_of(l), batch_, 1}), g, du + j * G, dv + j * G,
                             carry);
    keep_ended({l, l + 1}, batch_, inputs_, w, whole, carry);
  }
}

void RecurrentLinearisation::backpropagate(StepRange range,
                                           const sequence::BackwardPass& pass) const {
  const CellShape& shape = steps_->shape();
  const Index S = shape.state_width(), w = shape.layer_width(), size = batch_ * w;
  const Index most = steps_->steps_at_once(batch_);
  steps_->take(Direction::backward, range.size() * batch_);
  Real* carries = room(steps_->scratch.carry, shape.layers * size);
  for (int layer = 0; layer < shape.layers; ++layer)
    for (Index b = 0; b < batch_; ++b)
      std::copy_n(pass.carry.data() + b * S + layer * w, w, carries + layer * size + b * w);
  for (Index last = range.last; last > range.first; last -= most) {
    const StepRange part{std::max(range.first, last - most), last};
    const Index first = part.first - range.first, rows = part.size() * batch_;
    const Real* above = pass.from_above.size() > 0 ? pass.from_above[first].data() : nullptr;
    for (int layer = shape.layers - 1; layer >= 0; --layer) {
      walk_back(layer, part, range, pass, above, carries + layer * size);
      if (!pass.parameters.empty())
        add_layer_gradient(layer, part, pass.in[first].data(), pass.parameters);
      if (layer == 0 && pass.by_inputs.size() == 0) break;
      Real* dx =
          layer > 0 ? room(steps_->scratch.dx, rows * shape.units) : pass.by_inputs[first].data();
      steps_->to_inputs(layer, rows, steps_->scratch.du.data(), dx);
      above = dx;
    }
  }
  for (int layer = 0; layer < shape.layers; ++layer)
    scatter(batch_, carries + layer * size, w, pass.carry.data() + layer * w, S);
}

/// From du and dv of the steps of a part, whose first state is `in`.
void RecurrentLinearisation::add_layer_gradient(int layer, StepRange part, const Real* in,
                                                const sequence::GroupRows& grads) const {
  const CellShape& shape = steps_->shape();
  RecurrentSteps::Scratch& scratch = steps_->scratch;
  const Index rows = part.size() * batch_, row = row_of(part.first);
  Real* gradient = grads[static_cast<std::size_t>(layer)].data();
  const Index S = shape.state_width(), w = shape.layer_width();
  const Real* x =
      layer == 0 ? steps_->inputs_of(part, batch_, inputs_) : kept_.hidden_of(layer - 1, row);
  Cell::Rows states{rows, in + layer * w, nullptr, S};
  if (inputs_.lengths != nullptr) {
    Real* own = room(scratch.columns, rows * w);
    for (Index i = 0; i < rows; ++i) std::copy_n(states.before + i * S, w, own + i * w);
    clear_ended(part, batch_, inputs_, w, own);
    states = {rows, own, nullptr, w};
  }
  // dW_ih += sum of du x^T
  add_outer_products(rows, static_cast<int>(shape.gate_reals()), shape.inputs_of(layer),
                     scratch.du.data(), x, scratch.outer, gradient);
  steps_->cell(layer).add_gradient(states, kept_.slopes_of(layer, row), scratch.du.data(),
                                   scratch.dv.data(), gradient + shape.input_weights(layer));
}

void RecurrentLinearisation::add_gradients(StepRange range, ConstStates in, ConstStates g,
                                           const sequence::GroupRows& grads) const {
  const CellShape& shape = steps_->shape();
  RecurrentSteps::Scratch& scratch = steps_->scratch;
  const Index most = steps_->steps_at_once(batch_);
  steps_->take(Direction::backward, range.size() * batch_);
  for (Index from = 0; from < range.size(); from += most) {
    const Index m = std::min(most, range.size() - from), count = m * batch_;
    const StepRange part{range.first + from, range.first + from + m};
    Real* dx = nullptr;
    for (int layer = shape.layers - 1; layer >= 0; --layer) {
      const Part rows{row_of(part.first), count, 1};
      const Real* of_layer = layer_gradient(layer, rows, g[from].data(), dx);
      Real *du = room(scratch.du, count * shape.gate_reals()),
           *dv = room(scratch.dv, count * shape.gate_reals());
      steps_->cell(layer).pull(columns(layer, rows), of_layer, du, dv, nullptr);
      add_layer_gradient(layer, part, in[from].data(), grads);
      if (layer == 0) break;
      dx = room(scratch.dx, count * shape.units);
      steps_->to_inputs(layer, count, du, dx);
    }
  }
}

}  // namespace deeppcr::models
