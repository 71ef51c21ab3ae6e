#pragma once

#include <string>
#include <utility>
#include <vector>

#include "deeppcr/parallel/block_layout.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::test {

using NamedLayout = std::pair<std::string, parallel::BlockLayout>;

/// A layout of each kind, with blocks of one step, of a few, and longer than the chain.
inline std::vector<NamedLayout> all_layouts(Index num_steps, int num_ranks) {
  using parallel::BlockLayout;
  return {{"balanced", BlockLayout::balanced(num_steps, num_ranks)},
          {"uneven", uneven_layout(num_steps, num_ranks)},
          {"dealt, blocks of 1", BlockLayout::dealt(num_steps, num_ranks, 1)},
          {"dealt, blocks of 3", BlockLayout::dealt(num_steps, num_ranks, 3)},
          {"dealt, one long block", BlockLayout::dealt(num_steps, num_ranks, num_steps + 1)},
          {"replicated", BlockLayout::replicated(num_steps, num_ranks)}};
}

/// No step, one, fewer than ranks, uneven splits.
inline const std::vector<Index>& degenerate_sizes() {
  static const std::vector<Index> sizes{0, 1, 2, 3, 5, 12, 33};
  return sizes;
}

}  // namespace deeppcr::test
