#include "deeppcr/parallel/block_layout.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"

namespace deeppcr::parallel {

BlockLayout::BlockLayout(std::vector<Index> first_steps) : first_(std::move(first_steps)) {
  DEEPPCR_ASSERT(
      first_.size() >= 2 && first_.front() == 0 && std::is_sorted(first_.begin(), first_.end()),
      "{} entries", first_.size());
}

BlockLayout BlockLayout::balanced(Index num_steps, int num_ranks) {
  return by_work(num_steps, num_ranks, [](Index l) { return static_cast<double>(l); });
}

BlockLayout BlockLayout::by_work(Index num_steps, int num_ranks,
                                 const std::function<double(Index)>& work_up_to) {
  DEEPPCR_ASSERT(num_steps >= 0 && num_ranks >= 1, "L = {}, P = {}", num_steps, num_ranks);
  std::vector<Index> first(static_cast<std::size_t>(num_ranks) + 1, 0);
  for (int p = 0; p < num_ranks; ++p) {
    const Index begin = first[static_cast<std::size_t>(p)];
    const int ranks_left = num_ranks - p;
    const double target =
        work_up_to(begin) + (work_up_to(num_steps) - work_up_to(begin)) / ranks_left;
    Index low = begin, high = num_steps;  // the first l whose work reaches the target
    while (low < high) {
      const Index middle = low + (high - low) / 2;
      if (work_up_to(middle) < target) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    // One step for each rank while there are any, so that empty ranks come last.
    const Index at_least = std::min(num_steps, begin + 1);
    const Index at_most = std::max(at_least, num_steps - (ranks_left - 1));
    first[static_cast<std::size_t>(p) + 1] =
        ranks_left == 1 ? num_steps : std::clamp(low, at_least, at_most);
  }
  return BlockLayout(std::move(first));
}

BlockLayout BlockLayout::by_share(Index num_steps, const std::vector<double>& share) {
  double total = 0;
  for (double s : share) total += s;
  const auto num_ranks = static_cast<Index>(share.size());
  std::vector<Index> first(share.size() + 1, 0);
  double sum = 0;
  for (Index p = 0; p < num_ranks; ++p) {
    const auto at = static_cast<std::size_t>(p);
    sum += share[at];
    const Index rest = num_ranks - 1 - p;
    const Index at_least = std::min(num_steps, first[at] + 1);
    const Index at_most = std::max(at_least, num_steps - rest);
    const auto wanted =
        static_cast<Index>(std::llround(static_cast<double>(num_steps) * sum / total));
    first[at + 1] = rest == 0 ? num_steps : std::clamp(wanted, at_least, at_most);
  }
  return BlockLayout(std::move(first));
}

StepRange BlockLayout::range(int rank) const {
  const auto at = static_cast<std::size_t>(rank);
  return {first_[at], first_[at + 1]};
}

int BlockLayout::owner(Index l) const {
  DEEPPCR_ASSERT(0 <= l && l < num_steps(), "step {} of {}", l, num_steps());
  const auto behind = std::upper_bound(first_.begin(), first_.end(), l);
  return static_cast<int>(behind - first_.begin()) - 1;
}

int BlockLayout::num_active_ranks() const {
  return num_steps() == 0 ? 0 : owner(num_steps() - 1) + 1;
}

int ceil_log2(Index x) {
  int levels = 0;
  while ((Index{1} << levels) < x) ++levels;
  return levels;
}

}  // namespace deeppcr::parallel
