#pragma once

#include <memory>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "deeppcr/train/old_weights.hpp"
#include "deeppcr/train/optimiser.hpp"
#include "deeppcr/train/trainer.hpp"

namespace deeppcr::train {

/// The updates that this rank makes while mini-batches follow each other through the stages of a
/// pipeline, numbered by mini-batch from 0.
class UpdatesInARow {
 public:
  virtual ~UpdatesInARow() = default;

  /// Work for mini-batch k is next: the parameters become the weights that it is done with.
  virtual void enter(std::size_t k, bool back) = 0;
  /// Its gradient is there.
  virtual void update(std::size_t k) = 0;
  /// All gradients are. Fills norms and drifts of the records. Collective.
  virtual void finish() = 0;

  double seconds_each() const { return seconds_ / static_cast<double>(records_.size()); }

 protected:
  UpdatesInARow(const parallel::Communicator& holders, Optimiser& optimiser,
                std::vector<StepRecord>& records)
      : holders_(holders), optimiser_(optimiser), records_(records) {}

  const parallel::Communicator& holders_;
  Optimiser& optimiser_;
  std::vector<StepRecord>& records_;
  double seconds_ = 0;
};

/// Of a constant delay: two mini-batches are open at most. Update k stays open until mini-batch
/// k + 2 or gradient k + 1 asks for it, while the norm over all stages is summed.
class ConstantDelay final : public UpdatesInARow {
 public:
  ConstantDelay(const parallel::Communicator& holders, Optimiser& optimiser, OldWeights& weights,
                std::vector<StepRecord>& records);
  void enter(std::size_t k, bool back) override;
  void update(std::size_t k) override;
  void finish() override;

 private:
  void close();

  OldWeights& weights_;
  double squares_ = 0;
  parallel::PendingSums sums_;
  std::size_t done_ = 0;
  std::vector<std::array<double, 2>> looks_;
  std::vector<std::size_t> looked_;  ///< records that they belong to
};

/// Of a delay that differs by stage: forward at the newest weights, back at those that the forward
/// pass of the mini-batch had, min(k, d) updates ago. Each stage clips by its own norm.
class DelayByStage final : public UpdatesInARow {
 public:
  DelayByStage(const parallel::Communicator& holders, Optimiser& optimiser, WeightHistory& history,
               Index depth, std::vector<StepRecord>& records);
  void enter(std::size_t k, bool back) override;
  void update(std::size_t k) override;
  void finish() override;

 private:
  Index step(std::size_t k) const { return records_[k].step; }

  WeightHistory& history_;
  Index depth_;
  Buffer<Real> other_;  ///< the newest weights while older ones are in their place
  bool at_old_ = false;
  double drift_ = -1;            ///< the largest on this rank; negative: none
  std::vector<double> squares_;  ///< of the gradients, by mini-batch
};

}  // namespace deeppcr::train
