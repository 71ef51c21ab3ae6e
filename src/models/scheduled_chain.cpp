#include "deeppcr/models/scheduled_chain.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "models/sampler_noise.hpp"
#include "models/scheduled_linearisation.hpp"

namespace deeppcr::models {

namespace {

/// One step of one row: x' into to, and x0 behind it where `before` is that of the step before.
/// slope: of the clamp, or null. Shapes: all [n].
void take_step(const ScheduledStep& step, Index n, const Real* x, const Real* output,
               const Real* before, Real* to, Real* slope) {
  for (Index i = 0; i < n; ++i) {
    const Real free = step.x0_state * x[i] + step.x0_output * output[i];
    const Real x0 = std::clamp(free, -step.clip, step.clip);
    const Real eps = step.eps_state * x[i] + step.eps_output * output[i];
    Real next = step.state * x[i] + step.sample * x0 + step.noise * eps;
    if (slope != nullptr) slope[i] = x0 == free ? 1 : 0;
    if (before != nullptr) {
      next += step.previous * before[i];
      to[n + i] = x0;
    }
    to[i] = next;
  }
}

void check_moments(const std::vector<double>& moments, const char* name, double lowest, int n) {
  if (!moments.empty() && static_cast<int>(moments.size()) != n)
    throw input_error("{} {}s of data whose samples have {} numbers; give one for each",
                      moments.size(), name, n);
  for (const double value : moments) {
    if (!std::isfinite(value) || value < lowest)
      throw input_error("a {} of {} in the data; allowed: finite numbers{}", name, value,
                        lowest == 0 ? " from 0" : "");
  }
}

double at(const std::vector<double>& moments, Index i, double otherwise) {
  return moments.empty() ? otherwise : moments[static_cast<std::size_t>(i)];
}

}  // namespace

ScheduledChain::ScheduledChain(const DenoisingNetwork& network, std::vector<ScheduledStep> steps,
                               Index batch, std::uint64_t seed, Moments moments)
    : network_(network),
      steps_(std::move(steps)),
      batch_(batch),
      seed_(seed),
      moments_(std::move(moments)) {
  check_moments(moments_.mean, "mean", -std::numeric_limits<double>::infinity(), numbers());
  check_moments(moments_.variance, "variance", 0, numbers());
  std::vector<double> factors;
  bool noisy = false;
  for (const ScheduledStep& step : steps_) {
    factors.push_back(step.fresh);
    noisy = noisy || step.fresh != 0;
  }
  has_memory_ = use_previous(steps_);
  inputs_ = {{0, num_steps()}, {nullptr, {num_steps(), batch, 0}}};
  if (!noisy) return;
  drawn_ = std::make_shared<Buffer<Real>>(draw_noise(seed_, factors, batch, numbers()));
  inputs_.values = {drawn_->data(), {num_steps(), batch, numbers()}};
}

std::unique_ptr<sequence::Sequence> ScheduledChain::bound_to(const sequence::Inputs& inputs) const {
  DEEPPCR_ASSERT(inputs.values.extent(2) == inputs_.values.extent(2),
                 "{} numbers of noise for samples of {}", inputs.values.extent(2), numbers());
  auto bound = std::make_unique<ScheduledChain>(*this);
  bound->inputs_ = inputs;
  return bound;
}

const Real* ScheduledChain::x_of(ConstStates in, Buffer<Real>& room) const {
  if (!has_memory_) return in.data();
  const Index rows = in.extent(0) * in.extent(1), n = numbers();
  room.reset(rows * n);
  for (Index r = 0; r < rows; ++r) std::copy_n(in.data() + r * 2 * n, n, room.data() + r * n);
  return room.data();
}

void ScheduledChain::evaluate(StepRange range, ConstStates in, const Real* x, States out,
                              Real* slopes) const {
  const Index B = in.extent(1), n = numbers(), first = inputs_.first_sample;
  DEEPPCR_ASSERT(first + B <= batch_, "samples {} to {} of {}", first, first + B, batch_);
  if (range.empty()) return;
  Buffer<Real> output(range.size() * B * n);
  network_.evaluate(StepRows(steps_, range, B, first).of(range), x, output.data());
  for (Index r = 0; r < range.size() * B; ++r) {
    const Index l = range.first + r / B;
    const Real* before = has_memory_ ? in.data() + r * width() + n : nullptr;
    Real* to = out.data() + r * width();
    take_step(step(l), n, x + r * n, output.data() + r * n, before, to,
              slopes == nullptr ? nullptr : slopes + r * n);
    if (inputs_.values.size() == 0) continue;
    const Real* xi = inputs_.at(l) + r % B * n;
    for (Index i = 0; i < n; ++i) to[i] += xi[i];
  }
}

void ScheduledChain::value(StepRange range, ConstStates in, States out) const {
  Buffer<Real> room;
  evaluate(range, in, x_of(in, room), out, nullptr);
}

std::unique_ptr<blocks::Linearisation> ScheduledChain::linearise(StepRange range, ConstStates in,
                                                                 States out) const {
  const Index B = in.extent(1), size = range.size() * B * numbers();
  ScheduledPoint point{
      {steps_, range, B, inputs_.first_sample}, Buffer<Real>(size), Buffer<Real>(size)};
  Buffer<Real> room;
  const Real* x = x_of(in, room);
  std::copy_n(x, size, point.x.data());
  evaluate(range, in, x, out, point.slopes.data());
  return std::make_unique<ScheduledLinearisation>(
      network_, steps_, range, std::array<Index, 2>{B, width()}, std::move(point));
}

Real ScheduledChain::gaussian_slope(const ScheduledStep& step, Index i) const {
  const double variance = at(moments_.variance, i, 1);
  return std::sqrt(step.signal) * variance / (step.signal * variance + 1 - step.signal);
}

Real ScheduledChain::gaussian_x0(const ScheduledStep& step, Index i, Real x) const {
  const double mean = at(moments_.mean, i, 0);
  return mean + gaussian_slope(step, i) * (x - std::sqrt(step.signal) * mean);
}

std::pair<Real, Real> ScheduledChain::known_slopes(sequence::KnownDiagonal which,
                                                   const ScheduledStep& step, Index i) const {
  Real x0 = step.x0_state, eps = step.eps_state;
  if (which == sequence::KnownDiagonal::gaussian) {
    x0 = gaussian_slope(step, i);
    eps = (1 - std::sqrt(step.signal) * x0) / std::sqrt(1 - step.signal);
  }
  return {x0, step.state + step.sample * x0 + step.noise * eps};
}

bool ScheduledChain::known_diagonals(sequence::KnownDiagonal which, StepRange range,
                                     View<Real, 2> diagonals) const {
  if (has_memory_) return false;
  for (Index l = range.first; l < range.last; ++l)
    for (Index i = 0; i < numbers(); ++i)
      diagonals(l - range.first, i) = known_slopes(which, step(l), i).second;
  return true;
}

bool ScheduledChain::known_pairs(sequence::KnownDiagonal which, StepRange range,
                                 View<Real, 3> columns) const {
  if (!has_memory_) return false;
  const Index n = numbers();
  for (Index l = range.first; l < range.last; ++l) {
    const View<Real, 2> to = columns[l - range.first];
    for (Index i = 0; i < n; ++i) {
      std::tie(to(0, n + i), to(0, i)) = known_slopes(which, step(l), i);
      to(1, i) = step(l).previous;
      to(1, n + i) = 0;
    }
  }
  return true;
}

void ScheduledChain::start(State z) const {
  std::fill(z.begin(), z.end(), 0.0);
  for (Index b = 0; b < z.extent(0); ++b) draw_start(seed_, b, numbers(), z[b].data());
}

void ScheduledChain::gaussian_step(Index l, ConstState z, const Real* more, Real* out) const {
  const Index n = numbers(), w = width();
  const ScheduledStep& s = step(l);
  const Real* xi = inputs_.values.size() > 0 ? inputs_.at(l) : nullptr;
  const Real alpha = std::sqrt(s.signal), sigma = std::sqrt(1 - s.signal);
  for (Index b = 0; b < z.extent(0); ++b) {
    const Real* x = z.data() + b * w;
    Real* to = out + b * w;
    for (Index i = 0; i < n; ++i) {
      const Real x0 = gaussian_x0(s, i, x[i]) + more[b * w + i];
      to[i] = s.state * x[i] + s.sample * x0 + s.noise * (x[i] - alpha * x0) / sigma;
      if (xi != nullptr) to[i] += xi[b * n + i];
      if (!has_memory_) continue;
      to[i] += s.previous * x[n + i];
      to[n + i] = x0;
    }
  }
}

bool ScheduledChain::drift(Index l, ConstState z, ConstState f, State drift) const {
  const Index n = numbers(), w = width();
  const ScheduledStep& s = step(l);
  std::fill(drift.begin(), drift.end(), 0.0);
  Buffer<Real> gaussian(z.size());
  gaussian_step(l, z, drift.data(), gaussian.data());
  const Real weight = s.sample - s.noise * std::sqrt(s.signal / (1 - s.signal));
  for (Index r = 0; r < z.size(); ++r) {
    if (r % w >= n) continue;
    if (has_memory_) {
      drift.data()[r] = f.data()[r + n] - gaussian[r + n];
    } else if (weight != 0) {
      drift.data()[r] = (f.data()[r] - gaussian[r]) / weight;
    }
  }
  return true;
}

void ScheduledChain::extrapolate(StepRange range, ConstState z, ConstState drift,
                                 States out) const {
  ConstState from = z;
  for (Index l = range.first; l < range.last; ++l) {
    const State to = out[l - range.first];
    gaussian_step(l, from, drift.data(), to.data());
    from = to;
  }
}

}  // namespace deeppcr::models
