#include "app/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/interrupts.hpp"
#include "app/progress.hpp"
#include "app/training_report.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

using nonlinear::Status;
using train::History;

/// One run: the trainer, its files, and what may happen between two updates.
class Run {
 public:
  Run(const cli::Context& context, const parallel::ProcessGrid& grid, const TrainConfig& config,
      train::Trainable& model, const train::Examples& examples)
      : grid_(grid),
        config_(config),
        trainer_(grid, model, trainer_options(config, examples, grid.data().size())),
        last_update_(config.epochs * trainer_.steps_per_epoch()),
        files_(context, grid, config.files, config.chain.problem()),
        interrupts_(grid.world(), config.files),
        progress_(context.comm.is_root() && !context.quiet),
        history_(model.stages()) {
    if (config.max_updates > 0) last_update_ = std::min(last_update_, config.max_updates);
  }

  TrainingResult run(const parallel::BlockLayout& layout,
                     const std::function<train::Evaluation()>& evaluate);

 private:
  TrainingState state(std::vector<train::StoredArray> arrays) {
    return {std::move(arrays),
            history_,
            evaluations_,
            trainer_.steps_done(),
            seconds_before_ + watch_.seconds(),
            config_.local.own_gradients || config_.delay.any() ? &result_.rounds : nullptr,
            config_.delay};
  }
  void resume();
  void save();
  void train();
  Index updates_at_once() const;
  void add_round(const train::StepRecord& record);
  void give_up(const train::StepRecord& record);
  void look_around();
  void evaluate();
  void show_progress();
  void end();

  const parallel::ProcessGrid& grid_;
  const TrainConfig& config_;
  train::Trainer trainer_;
  Index last_update_;  ///< over all parts of the run
  TrainingFiles files_;
  Interrupts interrupts_;
  cli::ProgressLine progress_;
  train::History history_;
  std::vector<EvaluationRow> evaluations_;
  std::function<train::Evaluation()> score_;
  TrainingResult result_;
  Stopwatch watch_;
  double seconds_before_ = 0;
  bool stopped_ = false;
};

TrainingResult Run::run(const parallel::BlockLayout& layout,
                        const std::function<train::Evaluation()>& evaluate) {
  score_ = evaluate;
  resume();
  stop_before_start(grid_.world());
  result_.updates_before = trainer_.steps_done();
  files_.open_trace(state({}), layout);
  train();
  end();
  return std::move(result_);
}

void Run::resume() {
  const auto path = config_.files.restart_path(grid_.world());
  if (!path) return;
  TrainingState state = this->state(trainer_.arrays());
  files_.resume(*path, state);
  seconds_before_ = state.seconds;
  trainer_.resume(state.updates);
}

void Run::save() {
  const Stopwatch watch;
  files_.save(state(trainer_.stored()));
  result_.checkpoint = config_.files.checkpoint_path();
  result_.checkpoint_seconds += watch.seconds();
}

void Run::train() {
  while (!stopped_ && trainer_.steps_done() < last_update_) {
    for (const train::StepRecord& record : trainer_.steps(updates_at_once())) {
      if (record.step >= trainer_.steps_done()) {
        give_up(record);
        return;
      }
      history_.add(record);
      if (record.outcome.fell_back) result_.status = Status::fell_back;
      files_.record(history_);
      if (record.drift) add_round(record);
    }
    show_progress();
    const Index done = trainer_.steps_done();
    const Index apart = config_.epochs_per_evaluation * trainer_.steps_per_epoch();
    if (apart > 0 && done % apart == 0) evaluate();
    look_around();
  }
}

/// Updates until something is to be done between two of them.
Index Run::updates_at_once() const {
  // A signal waits for them; by stage the ranks are drained behind them.
  const Index most_at_once = config_.delay.by_stage ? 64 : 16;
  const Index done = trainer_.steps_done();
  Index most = std::min(most_at_once, last_update_ - done);
  for (const Index apart :
       {config_.epochs_per_evaluation * trainer_.steps_per_epoch(), config_.updates_to_save})
    if (apart > 0) most = std::min(most, apart - done % apart);
  return most;
}

void Run::add_round(const train::StepRecord& record) {
  const RoundRow row{static_cast<double>(record.step + 1), *record.drift};
  result_.rounds.push_back(row);
  files_.ended_round(row);
}

/// Back to the last good state, with a checkpoint of it.
void Run::give_up(const train::StepRecord& record) {
  result_.status = Status::failed;
  const std::string& failure = record.outcome.failure;
  const std::string what = !failure.empty()                     ? failure
                           : std::isfinite(record.outcome.loss) ? "its gradient is no number"
                                                                : "its loss is no number";
  trainer_.go_back();
  history_.resize(std::min(history_.rows(), trainer_.steps_done()));
  const auto kept = static_cast<double>(trainer_.steps_done());
  while (!result_.rounds.empty() && result_.rounds.back()[0] > kept) result_.rounds.pop_back();
  while (!evaluations_.empty() && evaluations_.back()[0] > kept) {
    evaluations_.pop_back();
    result_.evaluation.reset();  // a score of a state that is given up
  }
  save();
  result_.reason = fmt::format(
      "update {} failed: {}. The learning rate was {:.3g}: use a smaller --learning-rate, a longer "
      "--warm-up or a smaller --clip-norm. The state after {} updates is kept",
      record.step, what, record.learning_rate, trainer_.steps_done());
}

/// A safe point: signals, the STOP file, clocks.
void Run::look_around() {
  const auto asked = interrupts_.poll();
  const Index done = trainer_.steps_done();
  const bool regular = config_.updates_to_save > 0 && done % config_.updates_to_save == 0 &&
                       !config_.files.checkpoint.empty();
  if (asked == Interrupts::Action::stop && done < last_update_) {
    stopped_ = true;
    result_.status = Status::interrupted;
    result_.reason = interrupts_.stopped_by();
  }
  if (stopped_ || asked == Interrupts::Action::save || regular) save();
}

void Run::evaluate() {
  trainer_.at_mean([&] { result_.evaluation = score_(); });
  const EvaluationRow row{static_cast<double>(trainer_.steps_done()), result_.evaluation->loss,
                          result_.evaluation->accuracy()};
  const bool known = !evaluations_.empty() && evaluations_.back()[0] == row[0];
  if (!known) {
    evaluations_.push_back(row);
    files_.evaluated(row);
  }
  log::info("after {} updates: loss {:.4g}{} on {} other samples", trainer_.steps_done(),
            result_.evaluation->loss, accuracy_text(result_.evaluation->accuracy()),
            result_.evaluation->samples);
}

void Run::show_progress() {
  if (!progress_.is_due()) return;
  const Index done = trainer_.steps_done(), here = done - result_.updates_before;
  const double each = watch_.seconds() / static_cast<double>(std::max<Index>(here, 1));
  progress_.show(fmt::format(
      "update {} of {}, epoch {}: loss {:.4f}{}, {:.0f} samples/s, {:.0f} s left", done,
      last_update_, done / trainer_.steps_per_epoch() + 1, history_.mean(History::loss, kRecent),
      accuracy_text(history_.mean(History::accuracy, kRecent)),
      static_cast<double>(config_.chain.batch) / each,
      each * static_cast<double>(last_update_ - done)));
}

/// Signals stay held: what they would cut off is the last checkpoint.
void Run::end() {
  const bool whole = result_.status == Status::converged || result_.status == Status::fell_back;
  const Index done = trainer_.steps_done();
  const bool scored = result_.evaluation && evaluations_.back()[0] == static_cast<double>(done);
  if (whole && !scored) evaluate();
  if (whole && !config_.files.checkpoint.empty()) save();
  trainer_.end();
  result_.updates = done;
  result_.local_steps = trainer_.local_steps();
  result_.seconds = grid_.world().max(watch_.seconds());
  files_.finish(result_, seconds_before_ + result_.seconds);
  result_.history = std::move(history_);
}

/// Of losses that have them.
train::Stages stages_of(const OptionValues& loss) {
  if (!loss.has("stage-steps")) return {};
  return {loss.whole("stage-steps"), loss.real("stage-decay"), loss.real("proximal")};
}

train::Shards shards_by_class(const train::Examples& examples, int data_ranks) {
  if (examples.classes() == 0 || examples.labels_each())
    throw input_error(
        "--shards by-class needs samples of one label each, and these have {}; use --shards iid",
        examples.classes() == 0 ? "none" : "one a step");
  train::Shards shards{data_ranks, {}};
  for (Index s = 0; s < examples.count(); ++s) shards.classes.push_back(examples.label(s));
  return shards;
}

}  // namespace

train::Trainer::Options trainer_options(const TrainConfig& config, const train::Examples& examples,
                                        int data_ranks) {
  train::Trainer::Options options{config.optimiser, config.schedule, examples.count(),
                                  config.chain.batch, config.chain.model.seed};
  options.local = config.local;
  options.stages = stages_of(config.chain.loss.own);
  options.delay = config.delay;
  if (config.shards_by_class) options.shards = shards_by_class(examples, data_ranks);
  const train::SampleOrder order(options.samples, options.batch, options.seed, options.shards);
  options.schedule.total = config.epochs * order.batches_per_epoch();
  return options;
}

TrainingResult run_training(const cli::Context& context, const parallel::ProcessGrid& grid,
                            const TrainConfig& config, train::Trainable& model,
                            const train::Examples& examples, const parallel::BlockLayout& layout,
                            const std::function<train::Evaluation()>& evaluate) {
  return Run(context, grid, config, model, examples).run(layout, evaluate);
}

}  // namespace deeppcr::app
