#include "deeppcr/parallel/block_layout.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "deeppcr/core/error.hpp"

namespace deeppcr::parallel {

BlockLayout::BlockLayout(std::vector<Index> first_steps) : first_(std::move(first_steps)) {
  DEEPPCR_ASSERT(
      first_.size() >= 2 && first_.front() == 0 && std::is_sorted(first_.begin(), first_.end()),
      "{} entries", first_.size());
  num_steps_ = first_.back();
  num_ranks_ = static_cast<int>(first_.size()) - 1;
  for (std::size_t p = 1; p < first_.size(); ++p)
    longest_ = std::max(longest_, first_[p] - first_[p - 1]);
}

BlockLayout::BlockLayout(Kind kind, Index num_steps, int num_ranks, Index block)
    : kind_(kind), num_steps_(num_steps), num_ranks_(num_ranks), block_(block) {
  DEEPPCR_ASSERT(num_steps >= 0 && num_ranks >= 1, "L = {}, P = {}", num_steps, num_ranks);
}

BlockLayout BlockLayout::balanced(Index num_steps, int num_ranks) {
  return {Kind::contiguous, num_steps, num_ranks};
}

BlockLayout BlockLayout::by_share(Index num_steps, const std::vector<double>& share) {
  const double total = std::accumulate(share.begin(), share.end(), 0.0);
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

BlockLayout BlockLayout::dealt(Index num_steps, int num_ranks, Index block) {
  DEEPPCR_ASSERT(block >= 1, "blocks of {} steps", block);
  const Index blocks = num_steps == 0 ? 0 : (num_steps - 1) / block + 1;
  if (blocks > num_ranks && num_ranks > 1) return {Kind::dealt, num_steps, num_ranks, block};
  std::vector<Index> first{0};
  for (Index p = 1; p < num_ranks; ++p) first.push_back(p < blocks ? p * block : num_steps);
  first.push_back(num_steps);
  return BlockLayout(std::move(first));
}

BlockLayout BlockLayout::replicated(Index num_steps, int num_ranks) {
  return {num_ranks == 1 ? Kind::contiguous : Kind::replicated, num_steps, num_ranks};
}

StepSet BlockLayout::steps(int rank) const {
  if (is_contiguous()) return range(rank);
  if (kind_ == Kind::replicated) return StepRange{0, num_steps_};
  return {std::min(rank * block_, num_steps_), num_steps_, block_, num_ranks_ * block_};
}

StepSet BlockLayout::written_steps(int rank) const {
  return kind_ == Kind::replicated && rank > 0 ? StepSet() : steps(rank);
}

std::vector<OwnedRange> BlockLayout::ranges() const {
  std::vector<OwnedRange> all;
  for (Index l = 0; l < num_steps_;) {
    const int p = owner(l);
    all.push_back({steps(p).from(l), p});
    l = all.back().steps.last;
  }
  return all;
}

int BlockLayout::owner(Index l) const {
  DEEPPCR_ASSERT(0 <= l && l < num_steps(), "step {} of {}", l, num_steps());
  if (kind_ == Kind::replicated) return 0;
  if (kind_ == Kind::dealt) return static_cast<int>(l / block_ % num_ranks_);
  if (first_.empty()) {
    const Index count = num_steps_ / num_ranks_, longer = num_steps_ % num_ranks_;
    const Index behind_longer = longer * (count + 1);
    return static_cast<int>(l < behind_longer ? l / (count + 1)
                                              : longer + (l - behind_longer) / count);
  }
  const auto behind = std::upper_bound(first_.begin(), first_.end(), l);
  return static_cast<int>(behind - first_.begin()) - 1;
}

int BlockLayout::num_active_ranks() const {
  if (num_steps() == 0) return 0;
  return is_contiguous() ? owner(num_steps() - 1) + 1 : num_ranks_;
}

Index BlockLayout::longest() const {
  if (!is_contiguous()) return count(0);
  return first_.empty() ? first_step(1) : longest_;
}

Index BlockLayout::longest(int first, int last) const {
  if (first_.empty()) last = std::min(last, first + 1);  // counts do not rise from rank to rank
  Index most = 0;
  for (int p = first; p < last; ++p) most = std::max(most, range(p).size());
  return most;
}

Index BlockLayout::first_step(Index rank) const {
  if (!first_.empty()) return first_[static_cast<std::size_t>(rank)];
  return rank * (num_steps_ / num_ranks_) + std::min(rank, num_steps_ % num_ranks_);
}

StepRange BlockLayout::range(int rank) const {
  DEEPPCR_ASSERT(is_contiguous(), "a layout of {} steps over {} ranks that is not contiguous",
                 num_steps_, num_ranks_);
  return {first_step(rank), first_step(rank + 1)};
}

std::vector<Index> BlockLayout::first_steps() const {
  std::vector<Index> all{0};
  for (int p = 0; p < num_ranks_; ++p) all.push_back(range(p).last);
  return all;
}

bool operator==(const BlockLayout& a, const BlockLayout& b) {
  if (a.kind_ != b.kind_ || a.num_steps_ != b.num_steps_ || a.num_ranks_ != b.num_ranks_ ||
      a.block_ != b.block_)
    return false;
  if (a.first_.empty() == b.first_.empty()) return a.first_ == b.first_;
  return a.first_steps() == b.first_steps();
}

int ceil_log2(Index x) {
  int levels = 0;
  while ((Index{1} << levels) < x) ++levels;
  return levels;
}

}  // namespace deeppcr::parallel
