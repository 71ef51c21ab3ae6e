#include "deeppcr/models/losses.hpp"

#include <algorithm>
#include <charconv>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

MeanSquare::MeanSquare(const LossSizes& sizes, LossAt at) : HeadLoss(sizes, at) {
  if (at == LossAt::rate)
    throw input_error(
        "--loss-at rate: mean-square compares with the target of a step; last or each");
}

void MeanSquare::compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
                         bool with_gradient, LossReport& report) {
  if (data.targets.values.size() == 0)
    throw input_error("--loss mean-square compares with targets, and these samples have none");
  DEEPPCR_ASSERT(data.targets.values.extent(2) == y.size(), "targets of {} numbers, outputs of {}",
                 data.targets.values.extent(2), y.size());
  const Real* target = data.targets.at(l) + s * y.size();
  const Real share = 1 / (count * static_cast<Real>(y.size()));
  for (Index k = 0; k < y.size(); ++k) {
    const Real difference = y(k) - target[k];
    report.loss += share * difference * difference;
    if (with_gradient) y(k) = 2 * share * difference;
  }
}

namespace {

std::vector<bool> chosen_rows(Index num_steps, const std::string& text) {
  std::vector<bool> rows(static_cast<std::size_t>(num_steps), text == "every");
  if (text == "every") return rows;
  if (text == "last") {
    rows.back() = true;
    return rows;
  }
  for (const char *at = text.data(), *end = at + text.size();; ++at) {
    Index state = 0;
    const auto [next, code] = std::from_chars(at, end, state);
    if (code != std::errc() || state < 1 || state > num_steps || (next != end && *next != ','))
      throw input_error(
          "rows '{}' of a loss: last, every, or numbers from 1 to {} separated by commas", text,
          num_steps);
    rows[static_cast<std::size_t>(state - 1)] = true;
    if (next == end) return rows;
    at = next;
  }
}

}  // namespace

SquaredError::SquaredError(const LossSizes& sizes, const std::string& rows)
    : columns_{sizes.first, sizes.width},
      rows_(chosen_rows(sizes.steps, rows)),
      last_alone_(rows_.back() && std::count(rows_.begin(), rows_.end(), true) == 1) {}

bool SquaredError::counts(const LossData& data, Index l, Index s) const {
  return reads(l) && (last_alone_ ? data.length(s, l + 1) > 0 : data.has(l, s));
}

bool SquaredError::judges(Index length) const {
  const auto end = rows_.begin() + std::min<Index>(length, static_cast<Index>(rows_.size()));
  return last_alone_ ? length > 0 : std::find(rows_.begin(), end, true) != end;
}

std::vector<Real> SquaredError::shares(const LossData& data) const {
  std::vector<Real> all;
  for (Index s = 0; s < data.samples; ++s) {
    Index count = 0;
    for (Index l = 0; l < static_cast<Index>(rows_.size()); ++l) count += counts(data, l, s);
    count = std::max<Index>(count, 1);
    all.push_back(data.weight / static_cast<Real>(count * data.samples * columns_.count));
  }
  return all;
}

LossReport SquaredError::evaluate(const LossData& data, const LossGradients* gradients) {
  const Index n = columns_.count;
  DEEPPCR_ASSERT(static_cast<Index>(data.labels.size()) >= data.samples, "{} labels for {} samples",
                 data.labels.size(), data.samples);
  const std::vector<Real> scales = shares(data);
  const Index before = gradients == nullptr ? 0 : data.local.size() - gradients->states.extent(0);
  LossReport report;
  for (Index i = 0; i < data.local.size(); ++i) {
    const Index l = data.local.step(i);
    if (!reads(l)) continue;
    for (Index s = 0; s < data.samples; ++s) {
      Real* g = nullptr;
      if (gradients != nullptr) {
        const View<Real, 1> to = gradients->states[i - before][s];
        std::fill(to.begin(), to.end(), Real{0});
        g = to.data() + columns_.first;
      }
      if (!counts(data, l, s)) continue;
      const int label = data.label(last_alone_ ? data.length(s, l + 1) - 1 : l, s);
      const Real* z = data.states[i][s].data() + columns_.first;
      const Real scale = scales[static_cast<std::size_t>(s)];
      for (Index k = 0; k < n; ++k) {
        const Real difference = z[k] - (k == label ? 1 : 0);
        report.loss += scale * difference * difference;
        if (g != nullptr) g[k] = 2 * scale * difference;
      }
    }
  }
  return report;
}

}  // namespace deeppcr::models
