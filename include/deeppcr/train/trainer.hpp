#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/local_steps.hpp"
#include "deeppcr/train/old_weights.hpp"
#include "deeppcr/train/optimiser.hpp"
#include "deeppcr/train/sample_order.hpp"
#include "deeppcr/train/stages.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

class UpdatesInARow;

/// One update as the history of a run keeps it.
struct StepRecord {
  Index step = 0;  ///< counted from 0 over all epochs
  Index epoch = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  ///< of own gradients the largest of all data ranks
  StepOutcome outcome;
  /// Replicas::average(), where a round ended; or how far weights that are rebuilt were from those
  /// that were, relative to their norm, where that is looked at.
  std::optional<double> drift = {};
};

/// The training of one model, update by update: order of samples, gradient, learning rate, update.
/// Knows no files and no clock; who drives it looks at the records and saves arrays().
class Trainer {
 public:
  struct Options {
    OptimiserOptions optimiser;
    Schedule schedule;
    Index samples = 0;
    Index batch = 0;
    std::uint64_t seed = 1;
    LocalSteps local = {};
    Shards shards = {};
    Stages stages = {};
    Delay delay = {};
  };

  /// Grid and model must outlive the object. @throws Error for options without sense
  Trainer(const parallel::ProcessGrid& grid, Trainable& model, const Options& options);
  ~Trainer();

  /// The next update; nothing changes where loss or gradient are no numbers. Collective.
  StepRecord step();
  /// The next updates, up to `most`, in a row: of delayed gradients, or up to the end of a round;
  /// else one. The same numbers, but for the rounding of norms that clip, and but for a delay by
  /// stage, whose stages are drained between two rows. Where the last is not healthy, the
  /// parameters are of use again behind go_back(). Collective.
  std::vector<StepRecord> steps(Index most);
  /// Whether the last step has changed the parameters.
  bool healthy() const { return healthy_; }

  Index steps_done() const { return steps_done_; }
  Index steps_per_epoch() const { return order_.batches_per_epoch(); }
  /// Of the round that is going on.
  Index local_steps() const { return rounds_.length(); }
  const Schedule& schedule() const { return options_.schedule; }

  /// All that a run goes on from besides steps_done(): parameters ("parameters/.."), the
  /// optimiser's memory ("optimiser/.."), reference point ("reference/.."), further state of the
  /// model ("state/.."), weights of earlier updates ("old/.."); at last what data ranks have of
  /// their own ("own/..") in place of the first two.
  std::vector<StoredArray> arrays();
  /// The same to be written, where parameters and memory are means over data ranks that differ.
  /// Valid until the next call of anything here. Collective.
  std::vector<StoredArray> stored();
  /// Calls body() with the mean parameters of all data ranks. Collective.
  void at_mean(const std::function<void()>& body);
  /// Ends a run: leaves the model with those. Collective.
  void end();
  /// Says that the arrays were filled as they stood after so many steps. Collective.
  void resume(Index steps_done);

  /// Goes back to the last state that was kept in memory: after the start, a resume(), or a number
  /// of healthy steps.
  void go_back();

 private:
  std::vector<StoredArray> here();
  void keep();
  bool ends_round() const {
    return rounds_.is_over(steps_done_) || options_.stages.ends(steps_done_);
  }
  StepOutcome differentiate(const MiniBatch& batch);
  StepRecord begun(Index step);
  bool update(StepRecord& record);
  std::vector<StepRecord> local_row(Index most);
  void join(std::vector<StepRecord>& records) const;
  bool flows() const;
  void prepare_delay();
  std::unique_ptr<UpdatesInARow> row_of(std::vector<StepRecord>& records);
  std::vector<StepRecord> flowing_row(Index most);
  /// What all data ranks have in common besides parameters and the optimiser's memory.
  void append_common(std::vector<StoredArray>& all);

  const parallel::ProcessGrid& grid_;
  Trainable& model_;
  Options options_;
  SampleOrder order_;
  std::unique_ptr<ReferencePoint> reference_;  ///< null without
  Optimiser optimiser_;
  std::unique_ptr<Replicas> replicas_;  ///< null where all follow one gradient
  Rounds rounds_;
  bool differ_ = false;              ///< the data ranks have different parameters
  std::unique_ptr<OldWeights> old_;  ///< of a constant delay, else null
  /// Of a delay by stage, else null.
  std::unique_ptr<WeightHistory> history_;
  Index steps_done_ = 0;
  bool healthy_ = true;
  std::vector<Buffer<Real>> kept_;  ///< copies of here()
  Index kept_at_ = 0;
};

}  // namespace deeppcr::train
