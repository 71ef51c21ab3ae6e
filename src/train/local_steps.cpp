#include "deeppcr/train/local_steps.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/pending_sums.hpp"

namespace deeppcr::train {

namespace {
constexpr Real kLongestRound = 1 << 20;
}

Rounds::Rounds(const LocalSteps& local) : drift_bound_(local.drift_bound), state_(2) {
  if (local.updates < 1) throw input_error("{} local steps: 1 or more are needed", local.updates);
  state_[0] = static_cast<Real>(local.updates);
}

bool Rounds::is_over(Index updates_done) const {
  if (drift_bound_ == 0) return updates_done % length() == 0;
  const Index since = updates_done - static_cast<Index>(state_[1]);
  return since == 0 || since >= length();
}

void Rounds::end(Index updates_done, double drift) {
  if (drift_bound_ == 0) return;
  if (drift <= drift_bound_ / 2) {
    state_[0] = std::min(2 * state_[0], kLongestRound);
  } else if (drift > drift_bound_) {
    state_[0] = std::max(std::floor(state_[0] / 2), Real{1});
  }
  state_[1] = static_cast<Real>(updates_done);
}

std::vector<StoredArray> Rounds::state() {
  if (drift_bound_ == 0) return {};
  StoredArray array{"round",
                    1,
                    2,
                    StepSet(StepRange{0, 1}),
                    state_.data(),
                    "updates of this round, updates before it"};
  array.shared = array.optional = true;
  return {array};
}

Replicas::Replicas(const parallel::ProcessGrid& grid, std::vector<StoredArray> parameters,
                   std::vector<StoredArray> memory)
    : grid_(grid), arrays_(std::move(parameters)), num_parameters_(arrays_.size()), starts_{0} {
  for (StoredArray& array : memory) arrays_.push_back(std::move(array));
  for (const StoredArray& array : arrays_) starts_.push_back(starts_.back() + array.local_size());
  mean_.reset(starts_.back());
}

void Replicas::find_mean(std::size_t first, std::size_t last) {
  for (std::size_t a = first; a < last; ++a)
    std::copy_n(arrays_[a].values, arrays_[a].local_size(), mean_of(a));
  const Index begin = starts_[first], count = starts_[last] - begin;
  parallel::PendingSums sums(grid_.data());
  sums.start(mean_.data() + begin, count);
  sums.wait();
  const auto ranks = static_cast<Real>(grid_.data().size());
  for (Index i = begin; i < begin + count; ++i) mean_[i] /= ranks;
}

double Replicas::average(bool with_memory) {
  const std::size_t last = with_memory ? arrays_.size() : num_parameters_;
  find_mean(0, last);
  std::vector<double> squares{0, 0};  // of the distance from the mean, and of the mean
  for (std::size_t a = 0; a < num_parameters_; ++a) {
    const StoredArray& array = arrays_[a];
    if (array.shared && grid_.depth().rank() > 0) continue;  // counts once
    const Real* mean = mean_of(a);
    for (Index i = 0; i < array.local_size(); ++i) {
      const Real distance = array.values[i] - mean[i];
      squares[0] += distance * distance;
      squares[1] += mean[i] * mean[i];
    }
  }
  for (std::size_t a = 0; a < last; ++a)
    std::copy_n(mean_of(a), arrays_[a].local_size(), arrays_[a].values);
  grid_.depth().sum(squares);
  const double drift = squares[1] > 0 ? std::sqrt(squares[0] / squares[1]) : 0;
  return grid_.data().max(drift);
}

bool Replicas::differ() {
  const auto same = [&](std::size_t a) {
    const StoredArray& array = arrays_[a];
    return std::equal(array.values, array.values + array.local_size(), mean_of(a));
  };
  bool differ = false;
  for (std::size_t a = 0; a < num_parameters_; ++a) {
    std::copy_n(arrays_[a].values, arrays_[a].local_size(), mean_of(a));
    grid_.data().broadcast(mean_of(a), arrays_[a].local_size(), 0);
    differ = differ || !same(a);
  }
  return grid_.world().any(differ);
}

void Replicas::exchange() {
  for (std::size_t a = 0; a < num_parameters_; ++a)
    std::swap_ranges(arrays_[a].values, arrays_[a].values + arrays_[a].local_size(), mean_of(a));
}

void Replicas::at_mean(const std::function<void()>& body) {
  find_mean(0, num_parameters_);
  exchange();
  body();
  exchange();
}

std::vector<StoredArray> Replicas::stored(bool parameters_differ) {
  const std::size_t first = parameters_differ ? 0 : num_parameters_;
  find_mean(first, arrays_.size());
  std::vector<StoredArray> all = arrays_;
  for (std::size_t a = first; a < all.size(); ++a) all[a].values = mean_of(a);
  for (StoredArray& array : own(parameters_differ)) all.push_back(std::move(array));
  return all;
}

std::vector<StoredArray> Replicas::own(bool with_parameters) const {
  const int ranks = grid_.data().size();
  std::vector<StoredArray> all;
  for (std::size_t a = with_parameters ? 0 : num_parameters_; ranks > 1 && a < arrays_.size();
       ++a) {
    StoredArray array = arrays_[a];
    array.name = "own/" + array.name;
    array.long_name += ", of each data rank";
    array.own = array.own.shifted(grid_.data().rank() * array.rows);
    array.rows *= ranks;
    array.per_data_rank = true;
    all.push_back(std::move(array));
  }
  return all;
}

}  // namespace deeppcr::train
