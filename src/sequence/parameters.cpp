#include "deeppcr/sequence/parameters.hpp"

#include <algorithm>

namespace deeppcr::sequence {

void deal_features(ConstState features, const StepSet& steps, View<Real, 3> inputs) {
  const Index F = features.extent(1), d = inputs.extent(2);
  for (Index i = 0; i < steps.size(); ++i) {
    const Index first = std::min(steps.step(i) * d, F), count = std::min(d, F - first);
    for (Index b = 0; b < features.extent(0); ++b) {
      Real* x = inputs[i][b].data();
      std::copy_n(features[b].data() + first, count, x);
      std::fill(x + count, x + d, Real{0});
    }
  }
}

ParameterGradients::ParameterGradients(const std::vector<ParameterGroup>& groups) {
  constexpr Index kLine = 8;  // reals of a cache line: each group begins with one
  const auto padded = [](Index size) { return (size + kLine - 1) / kLine * kLine; };
  Index size = 0;
  for (const ParameterGroup& group : groups) size += padded(group.values.size());
  memory_.reset(size);
  Real* next = memory_.data();
  for (const ParameterGroup& group : groups) {
    shared_.push_back(group.shared);
    values_.emplace_back(next, group.values.shape());
    next += padded(group.values.size());
  }
}

bool ParameterGradients::any_shared() const {
  return std::find(shared_.begin(), shared_.end(), true) != shared_.end();
}

void ParameterGradients::slice(Index first, Index last, GroupRows& rows) const {
  rows.resize(values_.size());
  for (std::size_t g = 0; g < values_.size(); ++g)
    rows[g] = shared_[g] ? values_[g] : values_[g].slice(first, last);
}

Index ParameterGradients::numbers_a_step() const {
  Index count = 0;
  for (std::size_t g = 0; g < values_.size(); ++g)
    if (!shared_[g]) count += values_[g].extent(1);
  return count;
}

void ParameterGradients::clear_shared() const {
  for (std::size_t g = 0; g < values_.size(); ++g)
    if (shared_[g]) std::fill(values_[g].begin(), values_[g].end(), Real{0});
}

}  // namespace deeppcr::sequence
