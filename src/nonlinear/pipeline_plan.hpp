#pragma once

#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// Which rank holds which steps of a pipeline.
///
///     contiguous   a range of steps a rank: the fewest messages
///     interleaved  blocks of steps dealt to the ranks in turns: as many micro-batches as ranks
///                  keep all at work, and a block's weights stay in the cache for them
///     samples      all steps on each rank, for its own samples: no message on the way
enum class PipelineLayout { automatic, contiguous, interleaved, samples };

struct PipelineOptions {
  PipelineLayout layout = PipelineLayout::automatic;  ///< interleaved where that gives two blocks
  Index micro_batches = 0;                            ///< 0: by formula
  Index block_steps = 0;                              ///< of interleaved; 0: by formula
};

/// What a pipeline works on in turn: V blocks of steps a rank, M micro-batches of samples; and how
/// long its ranks wait, by formula. A tick is the work of a block on a micro-batch.
///
/// Source: Huang et al., GPipe, arXiv 1811.06965; interleaved: Narayanan et al., arXiv 2104.04473.
class PipelinePlan {
 public:
  /// micro_batches: 0: by formula.
  PipelinePlan(parallel::BlockLayout layout, Index batch, Index micro_batches);

  const parallel::BlockLayout& layout() const { return layout_; }
  /// The samples of each micro-batch; of each rank where ranks share samples.
  const parallel::BlockLayout& batches() const { return batches_; }
  /// Whether each rank has all steps and its own samples.
  bool shares_samples() const { return !layout_.is_contiguous() && layout_.is_replicated(); }
  /// Of the longest block.
  Index block_steps() const;
  /// Blocks of all ranks together.
  Index num_blocks() const;

  /// Until the last block is through: (V - 1) max(M, P) + M + P - 1, where all ranks have V.
  double ticks() const { return ticks(batches_.num_ranks()); }
  /// The same in steps of one sample, of blocks as long as the longest.
  double sample_steps() const;
  /// Share of all ranks' time without work, in a pass that takes so many steps of one sample.
  double idle(double sample_steps) const;
  /// Predicted time over that of one rank.
  double time_share() const;
  PipelineReport report(double sample_steps) const;

 private:
  double ticks(Index micro_batches) const;
  double seconds(Index micro_batches) const;
  Index choose_micro_batches() const;

  parallel::BlockLayout layout_;
  Index batch_;
  parallel::BlockLayout batches_;
};

/// @throws Error for more micro-batches than samples, or blocks longer than the chain
PipelinePlan plan_pipeline(const PipelineOptions& options, const Problem& problem);

/// Whether a pipeline promises enough: several ranks with more than four samples each. Depends on
/// what states tell alone, the sizes without weight_bytes, so that layouts, both passes and all
/// ranks agree.
bool promises_pipeline(const Problem& problem);
Problem problem_of(const sequence::Trajectory& states, int layers = 0);

}  // namespace deeppcr::nonlinear
