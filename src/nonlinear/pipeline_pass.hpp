#pragma once

#include <functional>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "nonlinear/pipeline_plan.hpp"

namespace deeppcr::nonlinear {

/// What one rank does with a micro-batch. Samples are counted in the whole batch.
class PipelineWork {
 public:
  virtual ~PipelineWork() = default;
  /// Fills the carry [B_m, n] that comes into the chain.
  virtual void begin(StepRange samples, State carry) = 0;
  /// Takes it through a block: what comes out goes to the next one. Calls progress() now and then,
  /// which lets messages leave.
  virtual void walk(StepRange block, int micro_batch, State carry,
                    const std::function<void()>& progress) = 0;
  /// Takes what comes out of the chain.
  virtual void end(StepRange samples, ConstState carry) = 0;
  /// All micro-batches are through a block.
  virtual void done(StepRange block) = 0;
};

/// One pass of the micro-batches through all blocks, one behind the other, from the first block to
/// the last (forward) or back. A message carries besides the carry the time by a logical clock, in
/// steps of one sample, at which it was ready.
///
///     rank 0  m0 m1 m2 m3 .  .       forward, contiguous,       m0 m1 m0 m1 .      interleaved,
///     rank 1  .  m0 m1 m2 m3 .       P = 3, M = 4               .  m0 m1 m0 m1     P = M = V = 2
///     rank 2  .  .  m0 m1 m2 m3
class PipelinePass {
 public:
  /// Both must outlive the object.
  PipelinePass(const sequence::Trajectory& at, const PipelinePlan& plan, Direction direction);

  /// Collective.
  void run(PipelineWork& work);

  double clock() const { return clock_; }    ///< when this rank was done
  double waited() const { return waited_; }  ///< seconds, for messages
  const parallel::Traffic& sent() const { return sent_; }

 private:
  void run_block(PipelineWork& work, StepRange block, int m);

  const sequence::Trajectory& at_;
  const PipelinePlan& plan_;
  Direction direction_;
  parallel::PendingSends sends_;
  Buffer<Real> carry_;  ///< [B_m, n], and the time
  double clock_ = 0, waited_ = 0;
  parallel::Traffic sent_;
};

/// The samples of a batch from first to last of [m, B, n] as [m, last - first, n], and back.
void pack(ConstStates from, StepRange samples, States to);
void unpack(ConstStates from, StepRange samples, States to);

/// Every rank gets the samples of all others, in place: rank p has those of batches.range(p) in
/// [m, B, n]. Collective; pieces of many steps at once.
void gather_samples(const parallel::Communicator& comm, const parallel::BlockLayout& batches,
                    States states, parallel::Traffic& traffic);
/// What that takes.
parallel::Traffic gathering_cost(Index steps, const Problem& problem);

}  // namespace deeppcr::nonlinear
