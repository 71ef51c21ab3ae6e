#pragma once

#include <vector>

#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/plan/chunks.hpp"

namespace deeppcr::linear {

/// A chain cut into chunks of consecutive steps, none of them empty; a rank has consecutive chunks.
class Chunks {
 public:
  /// Cuts the steps of each rank into equal chunks, `count` in all where there are enough steps;
  /// at least one on each rank that has steps.
  Chunks(const parallel::BlockLayout& layout, Index count);

  Index size() const {
    return first_step_.empty() ? 0 : static_cast<Index>(first_step_.size()) - 1;
  }
  /// Steps of chunk c.
  StepRange steps(Index c) const {
    const auto at = static_cast<std::size_t>(c);
    return {first_step_[at], first_step_[at + 1]};
  }
  /// Chunks of a rank.
  StepRange of_rank(int rank) const { return owners_.range(rank); }
  /// Steps of each chunk.
  std::vector<double> sizes() const;
  /// The longest chunk's number of steps.
  Index longest() const;
  /// Chunks as the rows of a linear system.
  const parallel::BlockLayout& owners() const { return owners_; }

 private:
  std::vector<Index> first_step_;  ///< [C + 1]; empty without steps
  parallel::BlockLayout owners_;
};

/// Steps, chunks and the share of the rank that has most, for the plan; the rest is left open.
plan::ChunkProblem plan_problem(const parallel::BlockLayout& layout, const Chunks& chunks);

}  // namespace deeppcr::linear
