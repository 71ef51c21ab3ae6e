#include "app/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/interrupts.hpp"
#include "app/progress.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

using nonlinear::Status;

/// One run: the trainer, its files, and what may happen between two updates.
class Run {
 public:
  Run(const Context& context, const parallel::ProcessGrid& grid, train::Trainable& model,
      train::Trainer& trainer, const TrainingPlan& plan)
      : grid_(grid),
        trainer_(trainer),
        plan_(plan),
        files_(storage::training_files(context, grid, plan.files, plan.model)),
        interrupts_(grid.world(),
                    {plan.files.folder(), plan.files.max_hours, plan.files.minutes_to_save}),
        progress_(context.comm.is_root() && !context.quiet),
        history_(model.stages()) {}

  TrainingResult run();

 private:
  storage::TrainingState state() {
    return {trainer_.arrays(), history_, evaluations_, trainer_.steps_done(),
            seconds_before_ + watch_.seconds()};
  }
  void resume();
  void save();
  void train();
  void give_up(const train::StepRecord& record);
  void look_around();
  void evaluate();
  void show_progress();
  void end();

  const parallel::ProcessGrid& grid_;
  train::Trainer& trainer_;
  const TrainingPlan& plan_;
  std::unique_ptr<storage::TrainingFiles> files_;
  Interrupts interrupts_;
  ProgressLine progress_;
  train::History history_;
  std::vector<storage::EvaluationRow> evaluations_;
  TrainingResult result_;
  Stopwatch watch_;
  double seconds_before_ = 0;
  bool stopped_ = false;
};

TrainingResult Run::run() {
  resume();
  stop_before_start(grid_.world());
  result_.updates_before = trainer_.steps_done();
  if (files_) files_->open_trace(state(), plan_.first_steps);
  train();
  end();
  return std::move(result_);
}

void Run::resume() {
  if (!files_ || plan_.files.restart.empty()) return;
  storage::TrainingState state = this->state();
  if (!files_->resume(plan_.files.restart, state)) return;
  seconds_before_ = state.seconds;
  trainer_.resume(state.updates);
}

void Run::save() {
  if (!files_) return;
  const Stopwatch watch;
  files_->save(state());
  result_.checkpoint = plan_.files.checkpoint_path();
  result_.checkpoint_seconds += watch.seconds();
}

void Run::train() {
  while (!stopped_ && trainer_.steps_done() < plan_.last_update) {
    const train::StepRecord record = trainer_.step();
    if (!trainer_.healthy()) {
      give_up(record);
      return;
    }
    history_.add(record);
    if (record.outcome.fell_back) result_.status = Status::fell_back;
    if (files_) files_->record(history_);
    show_progress();
    const Index done = trainer_.steps_done();
    if (plan_.updates_per_evaluation > 0 && done % plan_.updates_per_evaluation == 0) evaluate();
    look_around();
  }
}

/// Back to the last good state, with a checkpoint of it.
void Run::give_up(const train::StepRecord& record) {
  result_.status = Status::failed;
  const std::string& failure = record.outcome.failure;
  const std::string what =
      !failure.empty() ? failure
      : record.outcome.loss == record.outcome.loss && record.outcome.loss - record.outcome.loss == 0
          ? "its gradient is no number"
          : "its loss is no number";
  trainer_.go_back();
  history_.resize(std::min(history_.rows(), trainer_.steps_done()));
  save();
  result_.reason = fmt::format(
      "update {} failed: {}. The learning rate was {:.3g}: use a smaller --learning-rate, a longer "
      "--warm-up or a smaller --clip-norm. The state after {} updates is kept",
      record.step, what, record.learning_rate, trainer_.steps_done());
}

/// A safe point: signals, the STOP file, clocks.
void Run::look_around() {
  const Requests requests = interrupts_.poll();
  const Index done = trainer_.steps_done();
  const bool regular = plan_.updates_to_save > 0 && done % plan_.updates_to_save == 0 &&
                       !plan_.files.checkpoint.empty();
  if (requests.stop && done < plan_.last_update) {
    stopped_ = true;
    result_.status = Status::interrupted;
    result_.reason = requests.cause;
  }
  if (stopped_ || requests.save || regular) save();
}

void Run::evaluate() {
  if (!plan_.evaluate) return;
  result_.evaluation = plan_.evaluate();
  const storage::EvaluationRow row{trainer_.steps_done(), result_.evaluation->loss,
                                   result_.evaluation->accuracy()};
  const bool known = !evaluations_.empty() && evaluations_.back().updates == row.updates;
  if (!known) {
    evaluations_.push_back(row);
    if (files_) files_->evaluated(row);
  }
  log::info("after {} updates: loss {:.4g}{} on {} other samples", trainer_.steps_done(),
            result_.evaluation->loss, accuracy_text(result_.evaluation->accuracy()),
            result_.evaluation->samples);
}

void Run::show_progress() {
  if (!progress_.is_due()) return;
  const Index done = trainer_.steps_done(), here = done - result_.updates_before;
  const double each = watch_.seconds() / static_cast<double>(std::max<Index>(here, 1));
  constexpr Index kRecent = 100;
  progress_.show(
      fmt::format("update {} of {}, epoch {}: loss {:.4f}{}, {:.0f} samples/s, {:.0f} s left", done,
                  plan_.last_update, done / trainer_.steps_per_epoch() + 1,
                  history_.mean(train::History::loss, kRecent),
                  accuracy_text(history_.mean(train::History::accuracy, kRecent)),
                  static_cast<double>(plan_.samples_per_update) / each,
                  each * static_cast<double>(plan_.last_update - done)));
}

/// Signals stay held: what they would cut off is the last checkpoint.
void Run::end() {
  const bool whole = result_.status == Status::converged || result_.status == Status::fell_back;
  const Index done = trainer_.steps_done();
  const bool scored = result_.evaluation && evaluations_.back().updates == done;
  if (whole && !scored) evaluate();
  if (whole && !plan_.files.checkpoint.empty()) save();
  result_.updates = done;
  result_.seconds = grid_.world().max(watch_.seconds());
  if (files_) {
    const std::vector<Index> confusion =
        result_.evaluation ? result_.evaluation->confusion : std::vector<Index>{};
    files_->finish({to_string(result_.status), result_.reason, done,
                    seconds_before_ + result_.seconds, confusion});
  }
  result_.history = std::move(history_);
}

}  // namespace

std::string accuracy_text(double accuracy) {
  return std::isnan(accuracy) ? "" : fmt::format(", accuracy {:.2f} %", 100 * accuracy);
}

TrainingResult run_training(const Context& context, const parallel::ProcessGrid& grid,
                            train::Trainable& model, train::Trainer& trainer,
                            const TrainingPlan& plan) {
  return Run(context, grid, model, trainer, plan).run();
}

}  // namespace deeppcr::app
