#include "deeppcr/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "train/random_order.hpp"

namespace deeppcr::train {

namespace {
constexpr std::uint64_t kOrderStream = 0x6f726465;  // "orde"
/// Steps between two copies of all arrays in memory: a hundredth of a gradient each at most.
constexpr Index kStepsBetweenCopies = 50;
}  // namespace

SampleOrder::SampleOrder(Index samples, Index batch, std::uint64_t seed)
    : samples_(samples), batch_(batch), seed_(seed) {
  if (batch < 1 || batch > samples)
    throw input_error("a batch of {} out of {} samples is not possible: use 1 to {}", batch,
                      samples, samples);
}

const Index* SampleOrder::batch(Index step) {
  const Index epoch = epoch_of(step);
  if (epoch != epoch_) {
    order_ = random_order(
        samples_, RandomStream(seed_, (kOrderStream << 32) + static_cast<std::uint64_t>(epoch)));
    epoch_ = epoch;
  }
  return order_.data() + (step - epoch * batches_per_epoch()) * batch_;
}

Trainer::Trainer(const parallel::ProcessGrid& grid, Trainable& model, const Options& options)
    : model_(model),
      options_(options),
      order_(options.samples, options.batch, options.seed),
      optimiser_(grid.depth(), options.optimiser, model.parameters()) {
  keep();
}

StepRecord Trainer::step() {
  if (steps_done_ - kept_at_ >= kStepsBetweenCopies) keep();
  StepRecord record;
  record.step = steps_done_;
  record.epoch = order_.epoch_of(steps_done_);
  record.learning_rate = options_.schedule.rate(steps_done_);
  record.outcome =
      model_.differentiate({steps_done_, record.epoch, order_.batch(steps_done_), options_.batch});
  const Stopwatch watch;
  healthy_ = std::isfinite(record.outcome.loss);
  if (healthy_) {
    record.gradient_norm = optimiser_.update(record.learning_rate);
    healthy_ = std::isfinite(record.gradient_norm);
  }
  if (healthy_) ++steps_done_;
  record.outcome.seconds["update"] = watch.seconds();
  return record;
}

std::vector<StoredArray> Trainer::arrays() {
  std::vector<StoredArray> all;
  const auto add = [&](const char* group, std::vector<StoredArray> arrays) {
    for (StoredArray& array : arrays) {
      array.name = std::string(group) + "/" + array.name;
      all.push_back(std::move(array));
    }
  };
  std::vector<StoredArray> parameters;
  for (ParameterGroup& group : model_.parameters()) parameters.push_back(std::move(group.array));
  add("parameters", std::move(parameters));
  add("optimiser", optimiser_.state());
  add("state", model_.state());
  return all;
}

void Trainer::resume(Index steps_done) {
  steps_done_ = steps_done;
  optimiser_.set_updates(steps_done);
  healthy_ = true;
  keep();
}

void Trainer::keep() {
  const std::vector<StoredArray> arrays = this->arrays();
  kept_.resize(arrays.size());
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    kept_[a].reserve(arrays[a].local_size());
    std::copy_n(arrays[a].values, arrays[a].local_size(), kept_[a].data());
  }
  kept_at_ = steps_done_;
}

void Trainer::go_back() {
  const std::vector<StoredArray> arrays = this->arrays();
  for (std::size_t a = 0; a < arrays.size(); ++a)
    std::copy_n(kept_[a].data(), arrays[a].local_size(), arrays[a].values);
  resume(kept_at_);
}

}  // namespace deeppcr::train
