#pragma once

#include <vector>

#include "deeppcr/core/step_set.hpp"

namespace deeppcr::parallel {

/// Steps that follow each other and who holds them.
struct OwnedRange {
  StepRange steps;
  int owner = 0;
};

/// Which rank holds which steps of a chain:
///
///     contiguous   one range a rank, in rank order:        0 0 0 0 1 1 1 1 2 2 2 2
///     dealt        blocks in turns, block k to rank        0 0 1 1 2 2 0 0 1 1 2 2
///                  k mod P
///     replicated   every step on every rank
///
/// All questions are answered in O(1), of layouts by_share or from a list in O(log P), but for
/// lists and copies. Ranks may be empty, but only behind all others. A layout that is contiguous is
/// so however it was made: dealt with at most one block a rank, or replicated on one rank.
class BlockLayout {
 public:
  BlockLayout() = default;

  /// Equal counts, to one step; the first L mod P ranks have one more.
  static BlockLayout balanced(Index num_steps, int num_ranks);

  /// Counts in proportion to speed: rank p gets about L * share[p] / sum(share) steps.
  static BlockLayout by_share(Index num_steps, const std::vector<double>& share);

  /// Blocks of `block` steps, dealt to the ranks in turns; the last block may be shorter.
  static BlockLayout dealt(Index num_steps, int num_ranks, Index block);

  /// All steps on each rank.
  static BlockLayout replicated(Index num_steps, int num_ranks);

  /// From the first step of each rank, [P+1]. @pre first_steps starts at 0 and never falls
  explicit BlockLayout(std::vector<Index> first_steps);

  Index num_steps() const { return num_steps_; }
  int num_ranks() const { return num_ranks_; }
  /// What a rank holds.
  StepSet steps(int rank) const;
  Index count(int rank) const { return steps(rank).size(); }
  /// Steps of the rank that has most.
  Index longest() const;
  /// .. of ranks first..last-1. @pre is_contiguous()
  Index longest(int first, int last) const;
  /// The lowest rank that holds step l: the one that writes it. @pre 0 <= l < num_steps()
  int owner(Index l) const;
  /// Number of ranks, counted from 0, that hold at least one step.
  int num_active_ranks() const;

  bool is_contiguous() const { return kind_ == Kind::contiguous; }
  /// Whether each rank holds every step; so it is on one rank, too.
  bool is_replicated() const { return kind_ == Kind::replicated || num_ranks_ == 1; }
  /// The steps that a rank writes, so that each is written once: its own, or where all hold all
  /// those of rank 0.
  StepSet written_steps(int rank) const;
  /// The runs of steps that one rank holds without a break, in the order of the chain; the owner of
  /// each. One run, of rank 0, where all hold all.
  std::vector<OwnedRange> ranges() const;

  /// Of contiguous layouts only. @pre is_contiguous()
  StepRange range(int rank) const;
  /// [P+1], as the trace stores it. @pre is_contiguous()
  std::vector<Index> first_steps() const;

  friend bool operator==(const BlockLayout& a, const BlockLayout& b);

 private:
  enum class Kind { contiguous, dealt, replicated };
  BlockLayout(Kind kind, Index num_steps, int num_ranks, Index block = 0);
  Index first_step(Index rank) const;

  Kind kind_ = Kind::contiguous;
  Index num_steps_ = 0;
  int num_ranks_ = 1;
  Index block_ = 0;           ///< dealt
  std::vector<Index> first_;  ///< contiguous, [P + 1]; empty where counts are equal to one step
  Index longest_ = 0;         ///< of first_
};

/// ceil(log2 x) for x >= 1; 0 for x <= 1. The number of levels that reduce x maps to one.
int ceil_log2(Index x);

}  // namespace deeppcr::parallel
