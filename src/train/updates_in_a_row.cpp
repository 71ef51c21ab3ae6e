#include "train/updates_in_a_row.hpp"

#include <algorithm>
#include <cmath>

namespace deeppcr::train {

ConstantDelay::ConstantDelay(const parallel::Communicator& holders, Optimiser& optimiser,
                             OldWeights& weights, std::vector<StepRecord>& records)
    : UpdatesInARow(holders, optimiser, records), weights_(weights), sums_(holders) {}

void ConstantDelay::enter(std::size_t k, bool) {
  if (k > done_ + 1) close();
  weights_.show(k > done_ ? OldWeights::Shown::second : OldWeights::Shown::first);
}

void ConstantDelay::update(std::size_t k) {
  if (k > done_) close();
  squares_ = optimiser_.hold();
  sums_.start(&squares_, 1);
}

void ConstantDelay::close() {
  const Stopwatch watch;
  sums_.wait();
  StepRecord& record = records_[done_];
  record.gradient_norm = std::sqrt(squares_);
  weights_.before_update();
  optimiser_.update_held(record.learning_rate, record.gradient_norm);
  weights_.updated();
  if (const auto look = weights_.take_look()) {
    looks_.push_back(*look);
    looked_.push_back(done_);
  }
  ++done_;
  seconds_ += watch.seconds();
}

void ConstantDelay::finish() {
  close();
  std::vector<double> squares;
  for (const auto& look : looks_) squares.insert(squares.end(), look.begin(), look.end());
  holders_.sum(squares);
  for (std::size_t i = 0; i < looked_.size(); ++i)
    records_[looked_[i]].drift = WeightHistory::relative({squares[2 * i], squares[2 * i + 1]});
}

DelayByStage::DelayByStage(const parallel::Communicator& holders, Optimiser& optimiser,
                           WeightHistory& history, Index depth, std::vector<StepRecord>& records)
    : UpdatesInARow(holders, optimiser, records),
      history_(history),
      depth_(depth),
      other_(history.size()),
      squares_(records.size()) {}

void DelayByStage::enter(std::size_t k, bool back) {
  const Index lag = std::min(static_cast<Index>(k), depth_);
  if (!back || lag == 0) return;
  const Stopwatch watch;
  history_.rebuild(step(k), lag, other_);
  history_.swap_with(other_);
  at_old_ = true;
  if (const auto look = history_.take_look())
    drift_ = std::max(drift_, WeightHistory::relative(*look));
  seconds_ += watch.seconds();
}

void DelayByStage::update(std::size_t k) {
  const Stopwatch watch;
  if (at_old_) {
    history_.copy_from(other_);
  } else if (depth_ > 0) {
    history_.copy_to(other_);
  }
  at_old_ = false;
  squares_[k] = optimiser_.update_alone(records_[k].learning_rate);
  history_.updated(step(k), other_);
  seconds_ += watch.seconds();
}

void DelayByStage::finish() {
  holders_.sum(squares_);
  for (std::size_t k = 0; k < records_.size(); ++k)
    records_[k].gradient_norm = std::sqrt(squares_[k]);
  const double drift = holders_.max(drift_);
  if (drift >= 0) records_.back().drift = drift;
}

}  // namespace deeppcr::train
