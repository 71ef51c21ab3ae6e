#pragma once

#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// Layers in ranges to the ranks, time in chunks: rank p takes chunk c through its layers at tick
/// p + c. At most as many ranks work as there are layers.
///
///     P = 3, C = 4    rank 0  c0 c1 c2 c3  .  .
///                     rank 1   . c0 c1 c2 c3  .
///                     rank 2   .  . c0 c1 c2 c3
class WavefrontPlan {
 public:
  /// chunk_steps: about so many a chunk; 0: by formula. @pre problem.layers >= 1
  /// @throws Error for chunks longer than the chain
  explicit WavefrontPlan(const Problem& problem, Index chunk_steps = 0);

  /// The layers of each rank.
  const parallel::BlockLayout& layers() const { return layers_; }
  /// The steps of each chunk, as long as each other to one step.
  const parallel::BlockLayout& chunks() const { return chunks_; }
  int num_chunks() const { return chunks_.num_ranks(); }
  /// Ranks that work.
  int num_stages() const { return layers_.num_active_ranks(); }

  /// Steps of the whole chain, one after another, until the last chunk is through: the first rank
  /// has most layers, and the last chunk goes through the layers of all others.
  double path() const;
  /// The same of a pass whose last rank is done at such a time in steps of one layer.
  double path(double layer_steps) const;
  /// Predicted time over that of one rank, with what chunks begin with.
  double time_share() const;
  PipelineReport report(double layer_steps) const;

 private:
  Index steps_;
  int ranks_;
  double fixed_steps_;  ///< of the whole chain, in the time of what a chunk begins with
  parallel::BlockLayout layers_, chunks_;
};

/// Whether a wavefront promises enough: several ranks, and a stack. Depends on sizes only, so that
/// both passes and all ranks agree.
bool promises_wavefront(const Problem& problem);

/// Steps of a chunk: what a message takes with what a chunk begins with, and the ticks in which
/// ranks wait, cost least together. Two rows at least, from which on products backward have the
/// bits of those of whole ranges.
Index choose_chunk_steps(const Problem& problem, int stages);

}  // namespace deeppcr::nonlinear
