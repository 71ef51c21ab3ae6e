#pragma once

#include <functional>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::parallel {

/// Which rank owns which steps of a chain: contiguous ranges in rank order. Ranks may be empty, but
/// only behind all others.
class BlockLayout {
 public:
  BlockLayout() = default;

  /// Equal counts, to one step; the first L mod P ranks have one more.
  static BlockLayout balanced(Index num_steps, int num_ranks);

  /// Ranges of equal work. work_up_to(l) is the work of steps 0..l-1: zero at 0 and never falling.
  static BlockLayout by_work(Index num_steps, int num_ranks,
                             const std::function<double(Index)>& work_up_to);

  /// Counts in proportion to speed: rank p gets about L * share[p] / sum(share) steps.
  static BlockLayout by_share(Index num_steps, const std::vector<double>& share);

  /// From the first step of each rank, [P+1]. @pre first_steps starts at 0 and never falls
  explicit BlockLayout(std::vector<Index> first_steps);

  Index num_steps() const { return first_.back(); }
  int num_ranks() const { return static_cast<int>(first_.size()) - 1; }
  StepRange range(int rank) const;
  /// The rank that owns step l. @pre 0 <= l < num_steps()
  int owner(Index l) const;
  /// Number of ranks, counted from 0, that own at least one step.
  int num_active_ranks() const;
  /// [P+1], as the trace stores it.
  const std::vector<Index>& first_steps() const { return first_; }

 private:
  std::vector<Index> first_{0, 0};
};

inline bool operator==(const BlockLayout& a, const BlockLayout& b) {
  return a.first_steps() == b.first_steps();
}

/// ceil(log2 x) for x >= 1; 0 for x <= 1. The number of levels that reduce x maps to one.
int ceil_log2(Index x);

}  // namespace deeppcr::parallel
