#include "deeppcr/train/old_weights.hpp"

#include <fmt/format.h>

#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

Index Delay::arrays(int stages) const {
  const Index d = of(0, stages);
  if (d == 0) return 0;
  // what parameters are put by for, and by stage the newest ones; else also the first, the second,
  // and the gradients of an open update
  if (by_stage) return WeightHistory::arrays(rule, d) + 1;
  return d == 1 ? 3 : WeightHistory::arrays(rule, d - 1) + 4;
}

OldWeights::OldWeights(const Delay& delay, std::vector<StoredArray> parameters, bool counts_shared)
    : delay_(delay.updates),
      history_(delay_ > 1 ? delay.rule : OldWeightsRule::keep, delay_ - 1, std::move(parameters),
               counts_shared),
      newest_(history_.size()),
      first_(history_.size()),
      second_(delay_ > 1 ? history_.size() : 0) {
  DEEPPCR_ASSERT(!delay.by_stage && delay_ > 0, "a constant delay of {} updates", delay_);
  history_.copy_to(first_);
}

void OldWeights::show(Shown wanted) {
  if (wanted == Shown::second && delay_ == 1) wanted = Shown::newest;
  if (wanted == shown_) return;
  if (wanted == Shown::second) make_second();
  if (shown_ == Shown::newest) history_.copy_to(newest_);
  history_.copy_from(wanted == Shown::newest ? newest_ : wanted == Shown::first ? first_ : second_);
  shown_ = wanted;
}

/// The newest weights are shown afterwards where it had to be made.
void OldWeights::make_second() {
  if (second_made_ || delay_ == 1) return;
  show(Shown::newest);
  history_.rebuild(updates_, delay_ - 1, second_);
  second_made_ = true;
}

void OldWeights::before_update() {
  make_second();
  show(Shown::newest);
  history_.copy_to(newest_);
}

void OldWeights::updated() {
  if (delay_ == 1) {
    std::swap(first_, newest_);
  } else {
    std::swap(first_, second_);
    history_.updated(updates_, newest_);
  }
  second_made_ = false;
  ++updates_;
}

std::optional<std::array<double, 2>> OldWeights::take_look() {
  if (delay_ > 1) return history_.take_look();
  if (updates_ < 2) return std::nullopt;
  return std::array<double, 2>{0, 0};
}

std::vector<StoredArray> OldWeights::state() {
  std::vector<StoredArray> all = history_.state();
  // its name keeps a run of another delay from taking it
  for (StoredArray& array : history_.as_arrays(first_, fmt::format("{}_updates_ago", delay_),
                                               "the version that the next gradient is taken at"))
    all.push_back(std::move(array));
  return all;
}

void OldWeights::resume(Index updates) {
  updates_ = updates;
  shown_ = Shown::newest;
  second_made_ = false;
}

}  // namespace deeppcr::train
