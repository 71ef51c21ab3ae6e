#include "deeppcr/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "train/random_order.hpp"

namespace deeppcr::train {

namespace {
using parallel::BlockLayout;

constexpr std::uint64_t kOrderStream = 0x6f726465;  // "orde"
constexpr std::uint64_t kShardStream = 0x73686172;  // "shar", and on by data rank
/// Steps between two copies of all arrays in memory: a hundredth of a gradient each at most.
constexpr Index kStepsBetweenCopies = 50;
constexpr const char* kUpdate = "update";  ///< a stage
constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::vector<StoredArray> arrays_of(std::vector<ParameterGroup> groups) {
  std::vector<StoredArray> arrays;
  for (ParameterGroup& group : groups) arrays.push_back(std::move(group.array));
  return arrays;
}

/// GROUP/NAME
std::vector<StoredArray> named(const std::string& group, std::vector<StoredArray> arrays) {
  for (StoredArray& array : arrays) array.name.insert(0, group + "/");
  return arrays;
}

void append(std::vector<StoredArray> more, std::vector<StoredArray>& all) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

/// The updates of a row on this rank. Mini-batch k is worked on at W(k - 1); update k stays open
/// until that asks for it, or gradient k + 1 is there, while the norm is summed.
class Row {
 public:
  Row(const parallel::Communicator& holders, Optimiser& optimiser, OldWeights& weights,
      std::vector<StepRecord>& records)
      : optimiser_(optimiser), weights_(weights), records_(records), sums_(holders) {}

  void enter(std::size_t k) {
    if (k > done_ + 1) finish();
    weights_.show(k > done_);
  }
  void update(std::size_t k) {
    if (k > done_) finish();
    squares_ = optimiser_.hold();
    sums_.start(&squares_, 1);
  }
  void finish() {
    const Stopwatch watch;
    sums_.wait();
    StepRecord& record = records_[done_++];
    record.gradient_norm = std::sqrt(squares_);
    weights_.keep_newest();
    optimiser_.update_held(record.learning_rate, record.gradient_norm);
    update_seconds_ += watch.seconds();
  }
  double seconds_each() const { return update_seconds_ / static_cast<double>(done_); }

 private:
  Optimiser& optimiser_;
  OldWeights& weights_;
  std::vector<StepRecord>& records_;
  double squares_ = 0, update_seconds_ = 0;
  parallel::PendingSums sums_;
  std::size_t done_ = 0;
};
}  // namespace

SampleOrder::SampleOrder(Index samples, Index batch, std::uint64_t seed, const Shards& shards)
    : samples_(samples), batch_(batch), seed_(seed), shards_(shards.ranks) {
  if (batch < 1 || batch > samples)
    throw input_error("a batch of {} out of {} samples is not possible: use 1 to {}", batch,
                      samples, samples);
  batches_ = samples / batch;
  if (shards_ == 1) return;
  DEEPPCR_ASSERT(static_cast<Index>(shards.classes.size()) == samples,
                 "classes of {} samples of {}", shards.classes.size(), samples);
  if (batch < shards_)
    throw input_error("a batch of {} cannot be split over {} data ranks", batch, shards_);
  by_class_.resize(static_cast<std::size_t>(samples));
  std::iota(by_class_.begin(), by_class_.end(), Index{0});
  const auto class_of = [&](Index s) { return shards.classes[static_cast<std::size_t>(s)]; };
  std::stable_sort(by_class_.begin(), by_class_.end(),
                   [&](Index a, Index b) { return class_of(a) < class_of(b); });
  const auto parts = BlockLayout::balanced(samples, shards_);
  const auto shares = BlockLayout::balanced(batch, shards_);
  for (int r = 0; r < shards_; ++r)
    batches_ = std::min(batches_, parts.range(r).size() / shares.range(r).size());
  if (batches_ == 0)
    throw input_error(
        "a batch of {} takes more samples of a data rank than its shard has, {} in {} shards; use "
        "a smaller --batch or more --samples",
        batch, samples, shards_);
}

//     shards  0: a b c d  1: e f g h;  batches of 4:  c a g h | d b e f
void SampleOrder::deal_shards(Index epoch) {
  const auto parts = BlockLayout::balanced(samples_, shards_);
  const auto shares = BlockLayout::balanced(batch_, shards_);
  order_.resize(static_cast<std::size_t>(batches_ * batch_));
  for (int r = 0; r < shards_; ++r) {
    const StepRange part = parts.range(r), share = shares.range(r);
    const std::uint64_t stream = (kShardStream + static_cast<std::uint64_t>(r)) << 32;
    const std::vector<Index> own =
        random_order(part.size(), RandomStream(seed_, stream + static_cast<std::uint64_t>(epoch)));
    for (Index i = 0; i < batches_ * share.size(); ++i) {
      const Index at = i / share.size() * batch_ + share.first + i % share.size();
      const Index sample = part.first + own[static_cast<std::size_t>(i)];
      order_[static_cast<std::size_t>(at)] = by_class_[static_cast<std::size_t>(sample)];
    }
  }
}

const Index* SampleOrder::batch(Index step) {
  const Index epoch = epoch_of(step);
  if (epoch != epoch_ && shards_ > 1) {
    deal_shards(epoch);
  } else if (epoch != epoch_) {
    order_ = random_order(
        samples_, RandomStream(seed_, (kOrderStream << 32) + static_cast<std::uint64_t>(epoch)));
  }
  epoch_ = epoch;
  return order_.data() + (step - epoch * batches_per_epoch()) * batch_;
}

Trainer::Trainer(const parallel::ProcessGrid& grid, Trainable& model, const Options& options)
    : grid_(grid),
      model_(model),
      options_(options),
      order_(options.samples, options.batch, options.seed, options.shards),
      reference_(options.stages.gamma > 0
                     ? std::make_unique<ReferencePoint>(model.parameters(), options.stages.gamma)
                     : nullptr),
      optimiser_(grid.depth(), options.optimiser,
                 reference_ ? reference_->groups() : model.parameters()),
      rounds_(options.local) {
  if (options.local.own_gradients)
    replicas_ = std::make_unique<Replicas>(grid, named("parameters", arrays_of(model.parameters())),
                                           named("optimiser", optimiser_.state()));
  if (options.delay.updates > 0 && replicas_)
    throw input_error("a delay of gradients and local steps exclude each other: leave one out");
  if (options.delay.updates > 0)
    old_ = std::make_unique<OldWeights>(grid.depth(), options.delay, arrays_of(model.parameters()));
  keep();
}

StepOutcome Trainer::differentiate(const MiniBatch& batch) {
  if (!old_) return model_.differentiate(batch);
  StepOutcome outcome;
  old_->at_old(batch.step, [&] { outcome = model_.differentiate(batch); });
  return outcome;
}

StepRecord Trainer::begun(Index step) {
  StepRecord record;
  record.step = step;
  record.epoch = order_.epoch_of(step);
  record.learning_rate = options_.schedule.rate(step) * options_.stages.factor(step);
  return record;
}

/// Gradient and update; false where loss or gradient are no numbers, and then nothing has changed.
bool Trainer::update(StepRecord& record) {
  record.outcome = differentiate({record.step, record.epoch, order_.batch(record.step),
                                  options_.batch, options_.local.own_gradients});
  const Stopwatch watch;
  if (!std::isfinite(record.outcome.loss)) return false;
  if (reference_) reference_->draw_in();
  record.gradient_norm = optimiser_.update(record.learning_rate);
  record.outcome.seconds[kUpdate] = watch.seconds();
  return std::isfinite(record.gradient_norm);
}

StepRecord Trainer::step() {
  if (replicas_) return local_row(1).front();
  if (steps_done_ - kept_at_ >= kStepsBetweenCopies) keep();
  StepRecord record = begun(steps_done_);
  healthy_ = update(record);
  if (!healthy_) return record;
  const Stopwatch watch;
  if (old_) {
    old_->updated(steps_done_);
    record.drift = old_->drift();
  }
  ++steps_done_;
  if (reference_ && options_.stages.ends(steps_done_)) reference_->renew();
  record.outcome.seconds[kUpdate] += watch.seconds();
  return record;
}

// Data ranks ask each other nothing until the end of the row: one join, and the round's mean.
std::vector<StepRecord> Trainer::local_row(Index most) {
  if (steps_done_ + most - kept_at_ > kStepsBetweenCopies) keep();
  std::vector<StepRecord> records;
  bool healthy = true;
  do {
    records.push_back(begun(steps_done_));
    StepRecord& record = records.back();
    if (healthy) {
      healthy = update(record);
    } else {
      record.outcome.loss = std::nan("");
    }
    ++steps_done_;
  } while (static_cast<Index>(records.size()) < most && !ends_round());
  const Stopwatch watch;
  join(records);
  for (std::size_t k = 0; k < records.size(); ++k) {
    healthy_ = std::isfinite(records[k].outcome.loss) && std::isfinite(records[k].gradient_norm);
    if (healthy_) continue;
    steps_done_ = records[k].step;
    records.resize(k + 1);
    return records;
  }
  // Before the next gradient: the round's mean.
  if (ends_round()) {
    records.back().drift = replicas_->average(options_.local.averages_memory);
    rounds_.end(steps_done_, *records.back().drift);
  }
  if (reference_ && options_.stages.ends(steps_done_)) reference_->renew();
  records.back().outcome.seconds[kUpdate] += watch.seconds();
  return records;
}

/// What all data ranks have found: sums of losses and of right answers, the worst of the rest.
/// Collective over the data axis: two reductions, whatever the number of records.
void Trainer::join(std::vector<StepRecord>& records) const {
  const std::vector<std::string> stages = model_.stages();
  std::vector<double> sums, worst;
  for (StepRecord& record : records) {
    StepOutcome& outcome = record.outcome;
    sums.insert(sums.end(),
                {outcome.loss, std::round(outcome.accuracy * outcome.counted), outcome.counted});
    const double norm = std::isfinite(record.gradient_norm) ? record.gradient_norm : kInfinite;
    worst.insert(worst.end(),
                 {norm, static_cast<double>(outcome.newton_iterations), outcome.fell_back ? 1. : 0.,
                  outcome.failure.empty() ? 0. : 1., outcome.seconds[kUpdate]});
    for (const std::string& stage : stages) worst.push_back(outcome.seconds[stage]);
  }
  grid_.data().sum(sums);
  grid_.data().max(worst);
  const double *sum = sums.data(), *most = worst.data();
  for (StepRecord& record : records) {
    StepOutcome& outcome = record.outcome;
    const bool failed = most[3] != 0;
    outcome.loss = failed ? std::nan("") : sum[0];
    outcome.accuracy = sum[1] / std::max(sum[2], 1.);
    outcome.counted = sum[2];
    record.gradient_norm = most[0];
    outcome.newton_iterations = static_cast<Index>(most[1]);
    outcome.fell_back = most[2] != 0;
    if (failed && outcome.failure.empty()) outcome.failure = "it failed on other ranks";
    outcome.seconds[kUpdate] = most[4];
    for (std::size_t s = 0; s < stages.size(); ++s) outcome.seconds[stages[s]] = most[5 + s];
    sum += 3;
    most += 5 + stages.size();
  }
}

// A reference point changes gradients before each update.
bool Trainer::flows() const { return old_ && !reference_ && old_->flows() && model_.flows(); }

std::vector<StepRecord> Trainer::steps(Index most) {
  if (replicas_) return local_row(most);
  if (!flows()) return {step()};
  if (steps_done_ + most - kept_at_ > kStepsBetweenCopies) keep();
  std::vector<std::vector<Index>> samples;
  std::vector<MiniBatch> batches;
  std::vector<StepRecord> records(static_cast<std::size_t>(most));
  for (StepRecord& record : records) {
    record = begun(steps_done_ + static_cast<Index>(batches.size()));
    if (record.step > 0) record.drift = 0;
    const Index* drawn = order_.batch(record.step);
    samples.emplace_back(drawn, drawn + options_.batch);
    batches.push_back({record.step, record.epoch, samples.back().data(), options_.batch});
  }
  Row row(grid_.depth(), optimiser_, *old_, records);
  const std::vector<StepOutcome> outcomes = model_.differentiate_in_a_row(
      batches, {[&](std::size_t k) { row.enter(k); }, [&](std::size_t k) { row.update(k); }});
  row.finish();
  for (std::size_t k = 0; k < records.size(); ++k) {
    records[k].outcome = outcomes[k];
    records[k].outcome.seconds["update"] = row.seconds_each();
    healthy_ = std::isfinite(outcomes[k].loss) && std::isfinite(records[k].gradient_norm);
    if (!healthy_) {
      records.resize(k + 1);
      break;
    }
    ++steps_done_;
  }
  return records;
}

std::vector<StoredArray> Trainer::here() {
  std::vector<StoredArray> all = named("parameters", arrays_of(model_.parameters()));
  append(named("optimiser", optimiser_.state()), all);
  append_common(all);
  return all;
}

void Trainer::append_common(std::vector<StoredArray>& all) {
  if (reference_) append(named("reference", reference_->arrays()), all);
  if (replicas_) append(named("state", rounds_.state()), all);
  append(named("state", model_.state()), all);
  if (old_) append(named("old", old_->state()), all);
}

std::vector<StoredArray> Trainer::arrays() {
  std::vector<StoredArray> all = here();
  if (replicas_) append(replicas_->own(true), all);
  return all;
}

std::vector<StoredArray> Trainer::stored() {
  if (!replicas_) return here();
  std::vector<StoredArray> all = replicas_->stored(differs());
  append_common(all);
  return all;
}

void Trainer::at_mean(const std::function<void()>& body) {
  if (differs()) {
    replicas_->at_mean(body);
  } else {
    body();
  }
}

void Trainer::end() {
  if (differs()) replicas_->average(false);
}

void Trainer::resume(Index steps_done) {
  steps_done_ = steps_done;
  optimiser_.set_updates(steps_done);
  healthy_ = true;
  keep();
}

void Trainer::keep() {
  const std::vector<StoredArray> arrays = here();
  kept_.resize(arrays.size());
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    kept_[a].reserve(arrays[a].local_size());
    std::copy_n(arrays[a].values, arrays[a].local_size(), kept_[a].data());
  }
  kept_at_ = steps_done_;
}

void Trainer::go_back() {
  const std::vector<StoredArray> arrays = here();
  for (std::size_t a = 0; a < arrays.size(); ++a)
    std::copy_n(kept_[a].data(), arrays[a].local_size(), arrays[a].values);
  resume(kept_at_);
}

}  // namespace deeppcr::train
