#include "deeppcr/train/weight_history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {
using Rule = OldWeightsRule;

struct SlotNames {
  const char* name;
  const char* content;
};
SlotNames slot_names(Rule rule) {
  switch (rule) {
    case Rule::keep:
      return {"version", "earlier version"};
    case Rule::exact:
      return {"update", "earlier update"};
    case Rule::average:
      return {"mean_update", "running mean of the updates"};
  }
  return {};
}

Index slots(Rule rule, Index depth) { return rule == Rule::average ? 1 : depth; }

}  // namespace

const Words<Rule>& old_weights_rules() {
  static const Words<Rule> words{"rule of old weights", {"keep", "exact", "average"}};
  return words;
}

WeightHistory::WeightHistory(Rule rule, Index depth, std::vector<StoredArray> parameters,
                             bool counts_shared)
    : rule_(rule),
      depth_(depth),
      parameters_(std::move(parameters)),
      counts_shared_(counts_shared),
      starts_{0},
      slots_(static_cast<std::size_t>(slots(rule, depth))) {
  for (const StoredArray& array : parameters_)
    starts_.push_back(starts_.back() + array.local_size());
  if (measures()) measure_.reset(size());
  for (Buffer<Real>& slot : slots_) {
    slot.reset(size());
    if (rule_ == Rule::keep) copy_to(slot);
  }
}

Index WeightHistory::arrays(Rule rule, Index depth) {
  return slots(rule, depth) + (depth > 0 && rule != Rule::keep ? 1 : 0);
}

template <typename Numbers, typename Visit>
void WeightHistory::each(Numbers& numbers, const Visit& visit) const {
  for (std::size_t a = 0; a < parameters_.size(); ++a) {
    Real* parameters = parameters_[a].values;
    auto* own = numbers.data() + starts_[a];
    for (Index i = 0, size = parameters_[a].local_size(); i < size; ++i)
      visit(parameters[i], own[i]);
  }
}

void WeightHistory::copy_to(Buffer<Real>& numbers) const {
  each(numbers, [](Real p, Real& number) { number = p; });
}

void WeightHistory::copy_from(const Buffer<Real>& numbers) {
  each(numbers, [](Real& p, Real number) { p = number; });
}

void WeightHistory::swap_with(Buffer<Real>& numbers) {
  each(numbers, [](Real& p, Real& number) { std::swap(p, number); });
}

void WeightHistory::rebuild(Index t, Index lag, Buffer<Real>& old) {
  look_.reset();
  DEEPPCR_ASSERT(0 <= lag && lag <= depth_, "weights of {} updates ago out of {}", lag, depth_);
  if (lag > 0 && rule_ == Rule::keep) {
    std::copy_n(slot(t - lag).data(), size(), old.data());
  } else {
    copy_to(old);
  }
  if (rule_ == Rule::exact) {
    for (Index k = t - lag; k < t; ++k) {
      const Buffer<Real>& update = slot(k);
      for (Index i = 0; i < size(); ++i) old[i] -= update[i];
    }
  } else if (rule_ == Rule::average && lag > 0) {
    const auto steps = static_cast<Real>(lag);
    for (Index i = 0; i < size(); ++i) old[i] -= steps * slots_.front()[i];
  }
  if (lag == depth_ && t > 0 && (depth_ == 0 || t % depth_ == 0)) look(old);
}

void WeightHistory::updated(Index t, Buffer<Real>& before) {
  if (depth_ == 0) return;
  if (measures() && t % depth_ == 0) std::copy_n(before.data(), size(), measure_.data());
  if (rule_ != Rule::keep) each(before, [](Real p, Real& number) { number = p - number; });
  if (rule_ != Rule::average) {  // in place of W(t - d) or its update, which are needed no more
    std::swap(slot(t), before);
    return;
  }
  const Real beta = 1 - 1 / static_cast<Real>(depth_);
  Buffer<Real>& mean = slots_.front();
  for (Index i = 0; i < size(); ++i) mean[i] = beta * mean[i] + (1 - beta) * before[i];
}

void WeightHistory::look(const Buffer<Real>& old) {
  look_ = {0, 0};
  if (!measures()) return;
  for (std::size_t a = 0; a < parameters_.size(); ++a) {
    if (parameters_[a].shared && !counts_shared_) continue;
    for (Index i = starts_[a]; i < starts_[a + 1]; ++i) {
      const Real distance = old[i] - measure_[i];
      (*look_)[0] += distance * distance;
      (*look_)[1] += measure_[i] * measure_[i];
    }
  }
}

std::optional<std::array<double, 2>> WeightHistory::take_look() {
  return std::exchange(look_, std::nullopt);
}

double WeightHistory::relative(const std::array<double, 2>& squares) {
  return squares[1] > 0 ? std::sqrt(squares[0] / squares[1]) : 0;
}

std::vector<StoredArray> WeightHistory::as_arrays(Buffer<Real>& numbers, const std::string& name,
                                                  const std::string& content) const {
  std::vector<StoredArray> all;
  for (std::size_t a = 0; a < parameters_.size(); ++a) {
    StoredArray array = parameters_[a];
    array.name += "/" + name;
    array.values = numbers.data() + starts_[a];
    array.long_name = content + ", " + parameters_[a].name;
    all.push_back(std::move(array));
  }
  return all;
}

std::vector<StoredArray> WeightHistory::mean() {
  if (rule_ != Rule::average) return {};
  const SlotNames names = slot_names(rule_);
  return as_arrays(slots_.front(), names.name, names.content);
}

std::vector<StoredArray> WeightHistory::state() {
  std::vector<StoredArray> all;
  const auto append = [&](Buffer<Real>& numbers, const std::string& name, const char* content) {
    for (StoredArray& array : as_arrays(numbers, name, content)) all.push_back(std::move(array));
  };
  const SlotNames names = slot_names(rule_);
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    const bool one = rule_ == Rule::average;
    append(slots_[k], one ? names.name : fmt::format("{}_{}", names.name, k), names.content);
  }
  if (!measure_.empty()) append(measure_, "version", "the version that old weights are held to");
  return all;
}

}  // namespace deeppcr::train
