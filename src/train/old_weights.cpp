#include "deeppcr/train/old_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {
using Rule = Delay::Rule;

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

}  // namespace

const Words<Rule>& delay_rules() {
  static const Words<Rule> words{"rule of old weights", {"keep", "exact", "average"}};
  return words;
}

Index Delay::arrays() const {
  if (updates == 0) return 0;
  const Index slots = rule == Rule::average ? 1 : updates;
  return slots + 2;  // the newest ones; a measure, or the gradients of an open update
}

OldWeights::OldWeights(const parallel::Communicator& holders, const Delay& delay,
                       std::vector<StoredArray> parameters)
    : holders_(holders), delay_(delay), parameters_(std::move(parameters)), starts_{0} {
  DEEPPCR_ASSERT(delay.updates > 0, "a delay of {} updates", delay.updates);
  for (const StoredArray& array : parameters_)
    starts_.push_back(starts_.back() + array.local_size());
  newest_.reset(starts_.back());
  if (delay_.rule != Rule::keep) measure_.reset(starts_.back());
  slots_.resize(static_cast<std::size_t>(delay_.rule == Rule::average ? 1 : delay_.updates));
  for (Buffer<Real>& slot : slots_) {
    slot.reset(starts_.back());
    if (delay_.rule == Rule::keep) each(slot, [](Real p, Real& kept) { kept = p; });
  }
}

template <typename Numbers, typename Visit>
void OldWeights::each(Numbers& numbers, const Visit& visit) const {
  for (std::size_t a = 0; a < parameters_.size(); ++a) {
    Real* parameters = parameters_[a].values;
    auto* own = numbers.data() + starts_[a];
    for (Index i = 0, size = parameters_[a].local_size(); i < size; ++i)
      visit(parameters[i], own[i]);
  }
}

void OldWeights::at_old(Index t, const std::function<void()>& body) {
  each(newest_, [](Real p, Real& newest) { newest = p; });
  go_back(t);
  look(t);
  body();
  each(newest_, [](Real& p, Real newest) { p = newest; });
}

void OldWeights::go_back(Index t) {
  const auto d = static_cast<Real>(delay_.updates);
  switch (delay_.rule) {
    case Rule::keep:
      each(slot(t), [](Real& p, Real version) { p = version; });
      break;
    case Rule::exact:
      for (const Buffer<Real>& update : slots_) each(update, [](Real& p, Real u) { p -= u; });
      break;
    case Rule::average:
      each(slots_.front(), [d](Real& p, Real mean) { p -= d * mean; });
      break;
  }
}

void OldWeights::updated(Index t) {
  if (t % delay_.updates == 0) std::copy_n(newest_.data(), measure_.size(), measure_.data());
  const Real beta = 1 - 1 / static_cast<Real>(delay_.updates);
  switch (delay_.rule) {
    case Rule::keep:  // W(t) in place of W(t - d), which is needed no more
      std::swap(slot(t), newest_);
      break;
    case Rule::exact:
      each(newest_, [](Real p, Real& newest) { newest = p - newest; });
      std::swap(slot(t), newest_);
      break;
    case Rule::average:
      each(newest_, [](Real p, Real& newest) { newest = p - newest; });
      for (Index i = 0; i < newest_.size(); ++i) {
        Real& mean = slots_.front()[i];
        mean = beta * mean + (1 - beta) * newest_[i];
      }
      break;
  }
}

void OldWeights::show(bool newest) {
  if (newest != shows_newest_)
    each(slots_.front(), [](Real& p, Real& kept) { std::swap(p, kept); });
  shows_newest_ = newest;
}

void OldWeights::keep_newest() {
  show(true);
  each(slots_.front(), [](Real p, Real& kept) { kept = p; });
}

void OldWeights::look(Index t) {
  drift_.reset();
  if (t > 0 && t % delay_.updates == 0) drift_ = delay_.rule == Rule::keep ? 0 : distance();
}

double OldWeights::distance() const {
  std::vector<double> squares{0, 0};  // of the distance, and of the measure
  for (std::size_t a = 0; a < parameters_.size(); ++a) {
    const StoredArray& array = parameters_[a];
    if (array.shared && holders_.rank() > 0) continue;  // counts once
    const Real* measure = measure_.data() + starts_[a];
    for (Index i = 0; i < array.local_size(); ++i) {
      const Real distance = array.values[i] - measure[i];
      squares[0] += distance * distance;
      squares[1] += measure[i] * measure[i];
    }
  }
  holders_.sum(squares);
  return squares[1] > 0 ? std::sqrt(squares[0] / squares[1]) : 0;
}

std::vector<StoredArray> OldWeights::state() {
  std::vector<StoredArray> all;
  const auto append = [&](Buffer<Real>& numbers, const std::string& name,
                          const std::string& content) {
    for (std::size_t a = 0; a < parameters_.size(); ++a) {
      StoredArray array = parameters_[a];
      array.name += "/" + name;
      array.values = numbers.data() + starts_[a];
      array.long_name = content + ", " + parameters_[a].name;
      all.push_back(std::move(array));
    }
  };
  const SlotNames names = slot_names(delay_.rule);
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    const bool one = delay_.rule == Rule::average;
    append(slots_[k], one ? names.name : fmt::format("{}_{}", names.name, k), names.content);
  }
  if (!measure_.empty()) append(measure_, "version", "the version that old weights are held to");
  return all;
}

}  // namespace deeppcr::train
