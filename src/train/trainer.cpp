#include "deeppcr/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "train/updates_in_a_row.hpp"

namespace deeppcr::train {

namespace {
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

}  // namespace

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
  if (options.delay.any()) prepare_delay();
  keep();
}

Trainer::~Trainer() = default;

void Trainer::prepare_delay() {
  if (replicas_)
    throw input_error("a delay of gradients and local steps exclude each other: leave one out");
  const parallel::Communicator& holders = grid_.depth();
  const bool counts_shared = holders.rank() == 0;
  if (!options_.delay.by_stage) {
    old_ =
        std::make_unique<OldWeights>(options_.delay, arrays_of(model_.parameters()), counts_shared);
    return;
  }
  if (reference_ || !model_.flows())
    throw input_error(
        "--pipeline layerpipe needs steps on every depth rank, weights of their own in each layer, "
        "an "
        "embedding, and a loss of the last state without --proximal; use --pipeline delayed");
  history_ = std::make_unique<WeightHistory>(options_.delay.rule,
                                             options_.delay.of(holders.rank(), holders.size()),
                                             arrays_of(model_.parameters()), counts_shared);
}

StepOutcome Trainer::differentiate(const MiniBatch& batch) {
  if (!old_) return model_.differentiate(batch);
  old_->show(OldWeights::Shown::first);
  StepOutcome outcome = model_.differentiate(batch);
  old_->before_update();
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
  if (history_) return flowing_row(1).front();
  if (steps_done_ - kept_at_ >= kStepsBetweenCopies) keep();
  StepRecord record = begun(steps_done_);
  healthy_ = update(record);
  if (!healthy_) return record;
  const Stopwatch watch;
  if (old_) {
    old_->updated();
    if (auto look = old_->take_look()) {
      grid_.depth().sum(look->data(), 2);
      record.drift = WeightHistory::relative(*look);
    }
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
  differ_ = !ends_round();
  // Before the next gradient: the round's mean.
  if (!differ_) {
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
bool Trainer::flows() const { return (old_ || history_) && !reference_ && model_.flows(); }

std::unique_ptr<UpdatesInARow> Trainer::row_of(std::vector<StepRecord>& records) {
  const parallel::Communicator& holders = grid_.depth();
  if (old_) return std::make_unique<ConstantDelay>(holders, optimiser_, *old_, records);
  const Index depth = options_.delay.of(holders.rank(), holders.size());
  return std::make_unique<DelayByStage>(holders, optimiser_, *history_, depth, records);
}

std::vector<StepRecord> Trainer::steps(Index most) {
  if (replicas_) return local_row(most);
  if (!flows()) return {step()};
  return flowing_row(most);
}

std::vector<StepRecord> Trainer::flowing_row(Index most) {
  if (steps_done_ + most - kept_at_ > kStepsBetweenCopies) keep();
  std::vector<std::vector<Index>> samples;
  std::vector<MiniBatch> batches;
  std::vector<StepRecord> records(static_cast<std::size_t>(most));
  for (StepRecord& record : records) {
    record = begun(steps_done_ + static_cast<Index>(batches.size()));
    const Index* drawn = order_.batch(record.step);
    samples.emplace_back(drawn, drawn + options_.batch);
    batches.push_back({record.step, record.epoch, samples.back().data(), options_.batch});
  }
  const std::unique_ptr<UpdatesInARow> row = row_of(records);
  const std::vector<StepOutcome> outcomes = model_.differentiate_in_a_row(
      batches, {[&](std::size_t k, bool back) { row->enter(k, back); },
                [&](std::size_t k) { row->update(k); }});
  row->finish();
  for (std::size_t k = 0; k < records.size(); ++k) {
    records[k].outcome = outcomes[k];
    records[k].outcome.seconds[kUpdate] = row->seconds_each();
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
  if (history_) append(named("old", history_->mean()), all);
}

std::vector<StoredArray> Trainer::arrays() {
  std::vector<StoredArray> all = here();
  if (replicas_) append(replicas_->own(true), all);
  return all;
}

std::vector<StoredArray> Trainer::stored() {
  if (!replicas_) return here();
  std::vector<StoredArray> all = replicas_->stored(differ_);
  append_common(all);
  return all;
}

void Trainer::at_mean(const std::function<void()>& body) {
  if (differ_) {
    replicas_->at_mean(body);
  } else {
    body();
  }
}

void Trainer::end() {
  if (differ_) replicas_->average(false);
}

void Trainer::resume(Index steps_done) {
  steps_done_ = steps_done;
  optimiser_.set_updates(steps_done);
  if (old_) old_->resume(steps_done);
  differ_ = replicas_ && replicas_->differ();
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
