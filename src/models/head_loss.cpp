#include <algorithm>
#include <cmath>
#include <memory>

#include "deeppcr/core/error.hpp"
#include "deeppcr/models/losses.hpp"

namespace deeppcr::models {
namespace {

constexpr Index kPieceNumbers = 1 << 16;  ///< of states that go through the head at once

/// Those columns of states [m, B, width], of the first samples: to [m * samples, count].
void gather(sequence::Columns columns, ConstStates z, Index samples, Real* out) {
  for (Index i = 0; i < z.extent(0); ++i)
    for (Index s = 0; s < samples; ++s, out += columns.count)
      std::copy_n(z[i][s].data() + columns.first, columns.count, out);
}

}  // namespace

const Words<LossAt>& loss_places() {
  static const Words<LossAt> words{"--loss-at", {"last", "each", "rate"}};
  return words;
}

void apply_head(const End& head, sequence::Columns columns, ConstState z, State y) {
  const Index samples = z.extent(0);
  Buffer<Real> x(samples * columns.count);
  gather(columns, {z.data(), {1, samples, z.extent(1)}}, samples, x.data());
  head.forward({x.data(), {samples, columns.count}}, y);
}

HeadLoss::HeadLoss(const LossSizes& sizes, LossAt at)
    : at_(at),
      last_(sizes.steps - 1),
      columns_{sizes.first, sizes.width},
      head_(sizes.head ? sizes.head
                       : std::make_shared<DenseLayer>(LayerRole::head, sizes.width,
                                                      std::max(1, sizes.outputs), sizes.seed)) {}

ConstState HeadLoss::read(const LossData& data, StepRange rows) {
  const Index count = rows.size() * data.samples;
  const ConstStates z = data.states.slice(rows.first, rows.last);
  if (columns_.count == z.extent(2) && (data.samples == z.extent(1) || rows.size() == 1))
    return {z.data(), {count, columns_.count}};
  read_.reserve(count * columns_.count);
  gather(columns_, z, data.samples, read_.data());
  return {read_.data(), {count, columns_.count}};
}

State HeadLoss::outputs_of(ConstState x) {
  outputs_.reserve(x.extent(0) * head_->outputs());
  const State y(outputs_.data(), {x.extent(0), head_->outputs()});
  head_->forward(x, y);
  return y;
}

void HeadLoss::differentiate_head(ConstState x, ConstState by_outputs, bool first,
                                  const sequence::GroupRows& parameters) {
  by_read_.reserve(x.size());
  const State by_x(by_read_.data(), x.shape());
  if (parameters.empty()) {
    head_->gradient(x, by_outputs, {}, by_x);
    return;
  }
  const Index size = head_->parameters().size();
  by_head_.reserve(size);
  head_->gradient(x, by_outputs, {by_head_.data(), {size}}, by_x);
  const Real* from = by_head_.data();
  for (const View<Real, 2>& sum : parameters)
    for (Index i = 0; i < sum.size(); ++i, ++from)
      sum.data()[i] = first ? *from : sum.data()[i] + *from;
}

LossReport HeadLoss::evaluate(const LossData& data, const LossGradients* gradients) {
  const Index labels = static_cast<Index>(data.labels.size());
  if (labels != 0 && labels != data.samples && labels != steps() * data.samples)
    throw input_error("{} labels for {} samples", labels, data.samples);
  return at_ == LossAt::rate ? evaluate_rate(data, gradients) : evaluate_rows(data, gradients);
}

/// Outputs of a sample, times samples: what the mean is over.
Real HeadLoss::count_of(const LossData& data, Index s) const {
  const Index outputs = at_ == LossAt::each ? data.length(s, steps()) : 1;
  return static_cast<Real>(data.samples * outputs);
}

// y = W z + b, g = d compare / d y, d z = W^T g, dW += g z^T: piece by piece
LossReport HeadLoss::evaluate_rows(const LossData& data, const LossGradients* gradients) {
  LossReport report;
  const Index samples = data.samples;
  const bool one = at_ == LossAt::last;
  if (one && !data.local.contains(last_)) return report;
  const Index first = one ? data.local.row(last_) : 0;
  const Index end = one ? first + 1 : data.local.size();
  const Index piece =
      std::max<Index>(1, kPieceNumbers / std::max<Index>(1, samples * head_->inputs()));
  for (Index at = first; at < end; at += piece) {
    const StepRange rows{at, std::min(end, at + piece)};
    const ConstState x = read(data, rows);
    const State y = outputs_of(x);
    for (Index i = 0; i < x.extent(0); ++i) {
      const Index l = data.local.step(at + i / samples), s = i % samples;
      const Index last = data.length(s, steps()) - 1;
      if (one ? last >= 0 : data.has(l, s)) {
        compare(data, one ? last : l, s, y[i], count_of(data, s), gradients, report);
      } else if (gradients != nullptr) {
        std::fill(y[i].begin(), y[i].end(), Real{0});
      }
    }
    if (gradients == nullptr) continue;
    for (Real& value : y) value *= data.weight;
    differentiate_head(x, y, at == first, gradients->parameters);
    const Index before = data.local.size() - gradients->states.extent(0);
    for (Index i = 0; i < x.extent(0); ++i) {
      const View<Real, 1> to = gradients->states[at - before + i / samples][i % samples];
      std::fill(to.begin(), to.end(), Real{0});
      std::copy_n(by_read_.data() + i * columns_.count, columns_.count, to.data() + columns_.first);
    }
  }
  report.loss *= data.weight;
  return report;
}

Index HeadLoss::num_sums(Index samples) const {
  return at_ == LossAt::rate ? samples * columns_.count : 0;
}

void HeadLoss::add_sums(const LossData& data, Real* sums) const {
  if (at_ != LossAt::rate) return;
  for (Index i = 0; i < data.local.size(); ++i)
    for (Index s = 0; s < data.samples; ++s) {
      if (!data.has(data.local.step(i), s)) continue;
      const Real* z = data.states[i][s].data() + columns_.first;
      for (int k = 0; k < columns_.count; ++k) sums[s * columns_.count + k] += z[k];
    }
}

/// Of each sample over its steps, [samples, width].
ConstState HeadLoss::mean_of(const LossData& data) {
  DEEPPCR_ASSERT(data.sums != nullptr, "a loss of means over {} steps, without their sums",
                 steps());
  read_.reserve(num_sums(data.samples));
  for (Index s = 0; s < data.samples; ++s)
    for (Index k = s * columns_.count; k < (s + 1) * columns_.count; ++k)
      read_[k] = data.sums[k] / static_cast<Real>(std::max<Index>(1, data.length(s, steps())));
  return {read_.data(), {data.samples, columns_.count}};
}

// Every rank has the sums, and with them the gradient; the last step's has value and head.
LossReport HeadLoss::evaluate_rate(const LossData& data, const LossGradients* gradients) {
  if (data.local.empty()) return {};
  const ConstState x = mean_of(data);
  const State y = outputs_of(x);
  LossReport report;
  for (Index s = 0; s < data.samples; ++s) {
    const Index last = data.length(s, steps()) - 1;
    if (last >= 0) {
      compare(data, last, s, y[s], count_of(data, s), gradients, report);
    } else {
      std::fill(y[s].begin(), y[s].end(), Real{0});
    }
  }
  report.loss *= data.weight;
  const bool counts = data.local.contains(last_);
  if (gradients != nullptr) {
    for (Real& value : y) value *= data.weight;
    differentiate_head(x, y, true, gradients->parameters);
    for (const View<Real, 2>& rows : gradients->parameters)
      if (!counts) std::fill(rows.begin(), rows.end(), Real{0});
    const Index before = data.local.size() - gradients->states.extent(0);
    for (Index i = 0; i < data.local.size(); ++i)
      for (Index s = 0; s < data.samples; ++s) {
        const View<Real, 1> to = gradients->states[i - before][s];
        std::fill(to.begin(), to.end(), Real{0});
        if (!data.has(data.local.step(i), s)) continue;
        const Real share = 1 / static_cast<Real>(data.length(s, steps()));
        for (int k = 0; k < columns_.count; ++k)
          to(columns_.first + k) = share * by_read_[s * columns_.count + k];
      }
  }
  return counts ? report : LossReport{};
}

State HeadLoss::final_outputs(const LossData& data) {
  if (!data.local.contains(last_)) return {};
  if (at_ == LossAt::rate) return outputs_of(mean_of(data));
  const Index row = data.local.row(last_);
  return outputs_of(read(data, {row, row + 1}));
}

}  // namespace deeppcr::models
