#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/plan/pipeline_schedule.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/train/trainable.hpp"
#include "train/chain_ends.hpp"
#include "train/pieces.hpp"

namespace deeppcr::train {

/// Forward and backward passes of the micro-batches of an update over the ranks of a contiguous
/// layout, by a schedule. Gradients of parameters are added micro-batch by micro-batch, so that
/// they have the same bits in all schedules and, but for shared ones, on any number of stages.
///
///     F   stage s - 1  --carry, time-->  stage s     B   stage s  <--gradient, time--  stage s + 1
///
/// Messages carry the time by a logical clock, in steps of one sample.
class PipelinePasses {
 public:
  struct Options {
    plan::PipelineSchedule schedule = plan::PipelineSchedule::one_forward_one_backward;
    int micro_batches = 1;
    bool recompute = false;  ///< holds what comes into the stage, and runs it again before B
    plan::TaskTimes times;   ///< by the logical clock, of a step of one sample
  };

  /// What the passes work on, which must outlive the object.
  struct Chain {
    const sequence::Sequence& sequence;  ///< with inputs bound for the whole batch if it takes any
    const sequence::ParameterGradients& gradients;  ///< of this rank's parameters
    Index loss_rows = 0;  ///< local steps from the first whose state the loss reads
  };

  /// The communicator must outlive the object.
  /// @pre the layout is contiguous; 1 <= micro_batches <= batch
  PipelinePasses(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
                 Index batch, const Chain& chain, const Options& options);

  /// Both passes of batches in a row: assigns the gradients' rows, and this rank's part to the
  /// shared ones. Collective. @pre one batch; or no shared ones, and M >= P, or M = 1 of
  /// `layerpipe`
  void run(const std::vector<ChainEnds>& batches, const Turns& turns = {});
  /// The forward pass alone. Collective.
  void evaluate(const ChainEnds& ends);

  /// The largest state of the last pass on this rank, looked at now and then; infinite for NaN. Of
  /// each batch in a row.
  double largest() const { return *std::max_element(largest_.begin(), largest_.end()); }
  const std::vector<double>& largest_of_each() const { return largest_; }
  /// Seconds of the last run(), with its waits: "forward", "loss", "linear", "parameters".
  const StageTimes& seconds() const { return seconds_; }

  const parallel::BlockLayout& batches() const { return batches_; }
  int updates() const { return updates_; }
  /// Share of all stages' ticks without work in the last run(). Collective.
  double idle() const;
  double idle_by_formula() const;
  /// Micro-batches whose states this rank has held at once, at most, and the bytes of these, their
  /// gradients and what they are computed again from.
  int most_held() const { return states_.most(); }
  double held_bytes() const;

 private:
  /// What is kept of a micro-batch from its F to its W.
  struct MicroBatch {
    Buffer<Real> start;     ///< [b, n]; where states are computed again
    Buffer<Real> states;    ///< what comes in, then the local states, [L_local + 1, b, n]
    Buffer<Real> loss;      ///< [loss_rows, b, n]
    Buffer<Real> gradient;  ///< [L_local, b, n]; where B and W are apart
    /// Of its pieces.
    std::vector<std::unique_ptr<blocks::Linearisation>> linearised;
  };

  void forward(int m, bool keeps);
  void evaluate_loss(int m, ConstStates states, bool keeps);
  void backward(int m, plan::PipelineTask::Kind kind);
  void weights(int m);
  void release();
  void propagate(int m, Buffer<Real>& states);
  void linearise(int m);
  void backward_piece(int m, StepRange rows, std::size_t k, State carry, bool apart);
  /// Calls visit(rows) with sinks for the gradients of those rows; adds what they get.
  template <typename Visit>
  void add_gradients(int m, StepRange rows, const Visit& visit);
  /// Calls visit(rows, k) for the pieces k of the local rows.
  template <typename Visit>
  void each_piece(Direction direction, const Visit& visit);
  /// [b, n] in carry_.
  State receive(int m, int from);
  /// Of a task that ends when it sends.
  void send(plan::PipelineTask::Kind kind, int m, const Real* carry, int to);
  double ticks(plan::PipelineTask::Kind kind, int m) const;

  const sequence::Sequence& chain(int m) const { return *chains_[static_cast<std::size_t>(m)]; }
  /// Of a micro-batch, counted over all batches of a run.
  MicroBatch& held(int number) { return held_[static_cast<std::size_t>(number) % held_.size()]; }
  StepRange samples(int m) const { return batches_.range(m); }
  Index size(int m) const { return samples(m).size() * width_; }
  States view(Buffer<Real>& buffer, int m, Index first, Index last) const {
    return {buffer.data() + first * size(m), {last - first, samples(m).size(), width_}};
  }
  StepRange steps(StepRange rows) const {
    return {local_.first + rows.first, local_.first + rows.last};
  }
  bool is_first() const { return comm_.rank() == 0; }
  bool is_last() const { return comm_.rank() == stages_ - 1; }
  bool takes_part() const { return comm_.rank() < stages_; }
  plan::TaskTimes times() const;

  const parallel::Communicator& comm_;
  Options options_;
  Chain chain_;
  Index num_steps_;
  int stages_, width_, updates_ = 1;  ///< the last of the last run()
  StepRange local_;
  parallel::BlockLayout batches_;
  std::deque<sequence::FromSample> chains_;  ///< one a micro-batch
  std::vector<MicroBatch> held_;             ///< in turns
  MicroBatch* one_ = nullptr;                ///< that is worked on
  Pieces starts_, states_, losses_, gradients_;
  Index piece_rows_;                  ///< local steps that are worked on at once
  Buffer<Real> carry_;                ///< and the time behind it
  Buffer<Real> piece_;                ///< gradients by states, where B and W are one
  std::deque<Buffer<Real>> addends_;  ///< by group: rows of one micro-batch before they are added
  parallel::PendingSends sends_;
  const ChainEnds* ends_ = nullptr;
  double clock_ = 0, ended_ = 0;
  std::vector<double> largest_{0};  ///< by batch
  std::size_t batch_ = 0;           ///< that is worked on
  StageTimes seconds_;
};

}  // namespace deeppcr::train
