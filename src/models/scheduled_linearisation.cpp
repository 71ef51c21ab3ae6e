#include "models/scheduled_linearisation.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::models {

StepRows::StepRows(const std::vector<ScheduledStep>& steps, StepRange range, Index batch,
                   Index first_sample)
    : range_(range), batch_(batch) {
  for (Index l = range.first; l < range.last; ++l) {
    for (Index b = 0; b < batch; ++b) {
      times_.push_back(steps[static_cast<std::size_t>(l)].time);
      samples_.push_back(first_sample + b);
    }
  }
}

DenoisingRows StepRows::of(StepRange part) const {
  const Index first = (part.first - range_.first) * batch_;
  return {part.size() * batch_, times_.data() + first, samples_.data() + first};
}

ScheduledLinearisation::ScheduledLinearisation(const DenoisingNetwork& network,
                                               const std::vector<ScheduledStep>& steps,
                                               StepRange range, std::array<Index, 2> state,
                                               ScheduledPoint point)
    : DenseOnDemand(range, state[0], static_cast<int>(state[1])),
      network_(network),
      steps_(steps),
      width_(state[1]),
      n_(network.width()),
      point_(std::move(point)) {}

void ScheduledLinearisation::multiply(StepRange part, Direction direction, Index k, const Real* V,
                                      Real* DV) const {
  const Real* x = point_.x.data() + row_of(part.first) * n_;
  network_.product(point_.rows.of(part), x, direction, k, V, DV);
}

void ScheduledLinearisation::product_each(StepRange part, Direction direction,
                                          View<const Real, 4> V, View<Real, 4> W) const {
  if (part.empty()) return;
  if (direction == Direction::forward) return forward(part, V, W);
  backward(part, V, W);
}

/// Leading columns behind which no x moves, only what was before it.
Index ScheduledLinearisation::moving_columns(View<const Real, 4> V) const {
  const Index k = V.extent(2);
  Index moving = 0;
  for (Index c = 0; c < V.extent(0) * batch() * k; ++c) {
    const Real* dx = V.data() + c * width_;
    if (c % k >= moving && std::any_of(dx, dx + n_, [](Real v) { return v != 0; }))
      moving = c % k + 1;
  }
  return moving;
}

// dx' and dx0 from dx and dx0_before
void ScheduledLinearisation::forward(StepRange part, View<const Real, 4> V, View<Real, 4> W) const {
  const Index k = V.extent(2), moving = moving_columns(V), rows = part.size() * batch();
  Buffer<Real> dx(rows * moving * n_), moved(dx.size());
  const Buffer<Real> still(n_);
  for (Index c = 0; c < rows * moving; ++c)
    std::copy_n(V.data() + (c / moving * k + c % moving) * width_, n_, dx.data() + c * n_);
  if (moving > 0) multiply(part, Direction::forward, moving, dx.data(), moved.data());
  for (Index c = 0; c < rows * k; ++c) {
    const Index row = c / k, column = c % k;
    const ScheduledStep& step = steps_[static_cast<std::size_t>(part.first + row / batch())];
    const Real* slope = point_.slopes.data() + (row_of(part.first) + row) * n_;
    const Real *v = V.data() + c * width_, *before = v + n_;
    const Real* Dv = column < moving ? moved.data() + (row * moving + column) * n_ : still.data();
    Real* to = W.data() + c * width_;
    for (Index i = 0; i < n_; ++i) {
      const Real dx0 = slope[i] * (step.x0_state * v[i] + step.x0_output * Dv[i]);
      const Real deps = step.eps_state * v[i] + step.eps_output * Dv[i];
      to[i] = step.state * v[i] + step.sample * dx0 + step.noise * deps;
      if (!has_memory()) continue;
      to[i] += step.previous * before[i];
      to[n_ + i] = dx0;
    }
  }
}

// gradients by x and x0_before from g of x' and of x0
void ScheduledLinearisation::backward(StepRange part, View<const Real, 4> V,
                                      View<Real, 4> W) const {
  const Index k = V.extent(2), columns = batch() * k;
  Buffer<Real> by_output(part.size() * columns * n_), by_x(by_output.size());
  for (Index c = 0; c < part.size() * columns; ++c) {
    const Index l = part.first + c / columns, row = row_of(l) + c % columns / k;
    const ScheduledStep& step = steps_[static_cast<std::size_t>(l)];
    const Real *slope = point_.slopes.data() + row * n_, *g = V.data() + c * width_;
    Real* to = W.data() + c * width_;
    for (Index i = 0; i < n_; ++i) {
      const Real by_eps = step.noise * g[i];
      const Real by_x0 = slope[i] * (step.sample * g[i] + (has_memory() ? g[n_ + i] : 0));
      by_output[c * n_ + i] = step.x0_output * by_x0 + step.eps_output * by_eps;
      to[i] = step.state * g[i] + step.x0_state * by_x0 + step.eps_state * by_eps;
      if (has_memory()) to[n_ + i] = step.previous * g[i];
    }
  }
  multiply(part, Direction::backward, k, by_output.data(), by_x.data());
  for (Index c = 0; c < part.size() * columns; ++c)
    for (Index i = 0; i < n_; ++i) W.data()[c * width_ + i] += by_x[c * n_ + i];
}

void ScheduledLinearisation::own_slopes(Index l, Real* of_x0, Real* of_x) const {
  const Index B = batch();
  Buffer<Real> unit(B * n_ * n_), D(unit.size());
  for (Index i = 0; i < B * n_; ++i) unit[i * n_ + i % n_] = 1;
  multiply({l, l + 1}, Direction::forward, n_, unit.data(), D.data());
  const ScheduledStep& step = steps_[static_cast<std::size_t>(l)];
  const Real* slope = point_.slopes.data() + row_of(l) * n_;
  for (Index i = 0; i < B * n_; ++i) {
    const Real own = D[i * n_ + i % n_];
    of_x0[i] = slope[i] * (step.x0_state + step.x0_output * own);
    of_x[i] =
        step.state + step.sample * of_x0[i] + step.noise * (step.eps_state + step.eps_output * own);
  }
}

void ScheduledLinearisation::diagonals(StepRange part, States D) const {
  Buffer<Real> of_x0(batch() * n_), of_x(of_x0.size());
  for (Index l = part.first; l < part.last; ++l) {
    own_slopes(l, of_x0.data(), of_x.data());
    const State to = D[l - part.first];
    for (Index b = 0; b < batch(); ++b) {
      std::fill_n(to[b].data(), width_, 0.0);  // no x0 depends on the one before
      std::copy_n(of_x.data() + b * n_, n_, to[b].data());
    }
  }
}

bool ScheduledLinearisation::paired_diagonals(StepRange part, View<Real, 4> columns) const {
  if (!has_memory()) return false;
  Buffer<Real> of_x0(batch() * n_), of_x(of_x0.size());
  for (Index l = part.first; l < part.last; ++l) {
    own_slopes(l, of_x0.data(), of_x.data());
    for (Index b = 0; b < batch(); ++b) {
      Real* to = columns[l - part.first][b].data();
      std::copy_n(of_x.data() + b * n_, n_, to);
      std::copy_n(of_x0.data() + b * n_, n_, to + n_);
      std::fill_n(to + 2 * n_, n_, steps_[static_cast<std::size_t>(l)].previous);
      std::fill_n(to + 3 * n_, n_, 0.0);
    }
  }
  return true;
}

}  // namespace deeppcr::models
