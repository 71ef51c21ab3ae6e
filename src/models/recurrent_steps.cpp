#include "models/recurrent_steps.hpp"

#include <algorithm>

#include "models/room.hpp"

namespace deeppcr::models {

void keep_ended(StepRange range, Index batch, const sequence::Inputs& inputs, Index width,
                const Real* from, Real* to) {
  if (inputs.lengths == nullptr) return;
  for (Index i = 0; i < range.size(); ++i)
    for (Index b = 0; b < batch; ++b)
      if (!inputs.has(range.first + i, b))
        std::copy_n(from + (i * batch + b) * width, width, to + (i * batch + b) * width);
}

void clear_ended(StepRange range, Index batch, const sequence::Inputs& inputs, Index width,
                 Real* x) {
  if (inputs.lengths == nullptr) return;
  for (Index i = 0; i < range.size(); ++i)
    for (Index b = 0; b < batch; ++b)
      if (!inputs.has(range.first + i, b)) std::fill_n(x + (i * batch + b) * width, width, Real{0});
}

namespace {

CellShape shape_of_layer(CellShape stack, int layer) {
  stack.features = stack.inputs_of(layer);
  stack.layers = 1;
  return stack;
}

}  // namespace

RecurrentSteps::RecurrentSteps(const CellShape& shape)
    : shape_(shape),
      first_(static_cast<int>(shape.gate_reals()), shape.features),
      between_(static_cast<int>(shape.gate_reals()), shape.units) {
  for (int layer = 0; layer < shape.layers; ++layer) {
    theta_.push_back(std::make_shared<Buffer<Real>>(shape.parameters(layer)));
    cells_.push_back(make_cell(shape));
    back_.emplace_back(static_cast<int>(shape.gate_reals()), shape.inputs_of(layer));
  }
  // The first touch of fresh memory takes milliseconds: here on all ranks at once, in sequential
  // execution on one after another.
  const Index rows = steps_at_once(1);
  scratch.products.reset(rows * shape.gate_reals());
  scratch.slopes.reset(rows * slope_reals());
}

RecurrentSteps::RecurrentSteps(const RecurrentSteps& stack, int layer)
    : shape_(shape_of_layer(stack.shape_, layer)),
      theta_{stack.theta_[static_cast<std::size_t>(layer)]},
      first_(static_cast<int>(shape_.gate_reals()), shape_.features),
      between_(static_cast<int>(shape_.gate_reals()), shape_.units) {
  cells_.push_back(make_cell(shape_));
  back_.emplace_back(static_cast<int>(shape_.gate_reals()), shape_.features);
}

Index RecurrentSteps::steps_at_once(Index batch) const {
  constexpr Index kReals = 1 << 16;
  return std::max<Index>(1, kReals / (std::max<Index>(1, batch) * shape_.gate_reals()));
}

void RecurrentSteps::take(Direction direction, Index rows) {
  for (int layer = 0; layer < shape_.layers; ++layer)
    cell(layer).take(input_weights(layer) + shape_.input_weights(layer), direction, rows);
  rows_ = rows;
  is_taken_.assign(back_.size(), false);
}

void RecurrentSteps::to_inputs(int layer, Index rows, const Real* du, Real* dx) {
  const auto k = static_cast<std::size_t>(layer);
  if (!is_taken_[k]) back_[k].take(input_weights(layer), rows_);
  is_taken_[k] = true;
  back_[k](rows, du, nullptr, dx);
}

const Real* RecurrentSteps::inputs_of(StepRange range, Index batch,
                                      const sequence::Inputs& inputs) {
  const Index size = batch * shape_.features;
  const Real* first = inputs.at(range.first);
  const bool together = inputs.at(range.last - 1) == first + (range.size() - 1) * size;
  if (together && inputs.lengths == nullptr) return first;
  Real* rows = room(scratch.inputs, range.size() * size);
  for (Index i = 0; i < range.size(); ++i)
    std::copy_n(inputs.at(range.first + i), size, rows + i * size);
  clear_ended(range, batch, inputs, shape_.features, rows);
  return rows;
}

void RecurrentSteps::evaluate(const StepRows& steps, const KeptSteps* kept) {
  const Index batch = steps.batch, S = shape_.state_width(), state = batch * S;
  const Index w = shape_.layer_width(), n = shape_.units, most = steps_at_once(batch);
  for (Index from = 0; from < steps.range.size(); from += most) {
    const Index m = std::min(most, steps.range.size() - from), rows = m * batch;
    const StepRange part{steps.range.first + from, steps.range.first + from + m};
    Real* out = steps.out != nullptr ? steps.out + from * state : room(scratch.states, m * state);
    const Real* in = steps.in + (steps.chained ? 0 : from * state);
    if (steps.chained && from > 0) in = out - state;
    Real* u = room(scratch.products, rows * shape_.gate_reals());
    for (int layer = 0; layer < shape_.layers; ++layer) {
      // u = W_ih x + start, for all rows
      const Real* x = layer == 0 ? inputs_of(part, batch, steps.inputs) : nullptr;
      if (layer > 0) {
        Real* below = kept != nullptr ? kept->hidden_of(layer - 1, from * batch)
                                      : room(scratch.hidden, rows * n);
        const Real* h = out + (layer - 1) * w;
        for (Index row = 0; row < rows; ++row) std::copy_n(h + row * S, n, below + row * n);
        clear_ended(part, batch, steps.inputs, n, below);
        x = below;
      }
      input_product(layer)(input_weights(layer), rows, x, cell(layer).start(), u);
      Real* slopes = kept != nullptr ? kept->slopes_of(layer, from * batch)
                                     : room(scratch.slopes, rows * slope_reals());
      const Index at = layer * w;
      if (!steps.chained) cell(layer).forward({rows, in + at, out + at, S}, u, slopes);
      for (Index i = 0; steps.chained && i < m; ++i) {
        const Real* before = i == 0 ? in : out + (i - 1) * state;
        cell(layer).forward({batch, before + at, out + i * state + at, S},
                            u + i * batch * shape_.gate_reals(),
                            slopes + i * batch * slope_reals());
        // A sample's end is seen by this layer's next step.
        for (Index b = 0; steps.inputs.lengths != nullptr && b < batch; ++b)
          if (!steps.inputs.has(part.first + i, b))
            std::copy_n(before + b * S + at, w, out + i * state + b * S + at);
      }
      clear_ended(part, batch, steps.inputs, slope_reals(), slopes);
    }
    if (!steps.chained) keep_ended(part, batch, steps.inputs, S, in, out);
  }
}

}  // namespace deeppcr::models
