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
#include "deeppcr/train/stages.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// Samples that are sorted by class and cut into as many parts as there are data ranks: each of
/// them learns from its part alone.
struct Shards {
  int ranks = 1;             ///< 1: there are none
  std::vector<int> classes;  ///< [samples]
};

/// Which samples make up each mini-batch: every epoch is a permutation of all samples by (seed,
/// epoch), cut into batches of equal size; what is left over at its end is not used in that epoch.
/// The same for any number of ranks, but where there are shards: then each of them is permuted by
/// itself, and a batch has the samples of the first data rank first.
class SampleOrder {
 public:
  /// @throws Error when a batch has no sample or more than there are
  SampleOrder(Index samples, Index batch, std::uint64_t seed, const Shards& shards = {});

  Index batches_per_epoch() const { return batches_; }
  Index epoch_of(Index step) const { return step / batches_per_epoch(); }

  /// The samples (0..samples-1) of batch `step`, counted from 0 over all epochs: [batch].
  /// Cost: a permutation where the epoch is another than in the last call.
  const Index* batch(Index step);

 private:
  void deal_shards(Index epoch);

  Index samples_;
  Index batch_;
  std::uint64_t seed_;
  int shards_;
  Index batches_;                ///< in an epoch
  std::vector<Index> by_class_;  ///< samples, where there are shards
  Index epoch_ = -1;
  std::vector<Index> order_;
};

/// One update as the history of a run keeps it.
struct StepRecord {
  Index step = 0;  ///< counted from 0 over all epochs
  Index epoch = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  ///< of own gradients the largest of all data ranks
  StepOutcome outcome;
  /// Replicas::average(), where a round ended; or OldWeights::drift().
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

  /// The next update; nothing changes where loss or gradient are no numbers. Collective.
  StepRecord step();
  /// The next updates, up to `most`, in a row: with two versions of weights, or up to the end of a
  /// round; else one. The same numbers, but for the rounding of norms that clip. Where the last is
  /// not healthy, the parameters are of use again behind go_back(). Collective.
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
  /// Says that the arrays were filled as they stood after so many steps.
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
  /// Whether the data ranks have different parameters.
  bool differs() const { return replicas_ && !ends_round(); }
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
  std::unique_ptr<OldWeights> old_;  ///< null where gradients are at the newest weights
  Index steps_done_ = 0;
  bool healthy_ = true;
  std::vector<Buffer<Real>> kept_;  ///< copies of here()
  Index kept_at_ = 0;
};

}  // namespace deeppcr::train
