#include "deeppcr/core/step_set.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

StepSet::StepSet(StepRange range)
    : first_(range.first),
      last_(range.last),
      block_(range.size()),
      stride_(std::max<Index>(1, block_)),
      size_(block_) {
  DEEPPCR_ASSERT(range.first <= range.last, "steps [{}, {})", range.first, range.last);
}

StepSet::StepSet(Index first, Index last, Index block, Index stride)
    : StepSet(StepRange{first, last}) {
  DEEPPCR_ASSERT(1 <= block && block <= stride, "blocks of {} at distances of {}", block, stride);
  const Index whole = size_ / stride, rest = size_ % stride;
  if (block == stride || size_ <= block) return;
  size_ = whole * block + std::min(rest, block);
  block_ = block;
  stride_ = stride;
  last_ = step(size_ - 1) + 1;
  if (is_contiguous()) *this = StepSet(StepRange{first_, last_});
}

bool StepSet::contains(StepRange range) const {
  return range.empty() || (contains(range.first) && range.last <= from(range.first).last);
}

StepRange StepSet::range(Index k) const {
  DEEPPCR_ASSERT(0 <= k && k < num_ranges(), "range {} of {}", k, num_ranges());
  const Index first = first_ + k * stride_;
  return {first, std::min(first + block_, last_)};
}

std::vector<StepRange> StepSet::ranges() const {
  std::vector<StepRange> all;
  for (Index k = 0; k < num_ranges(); ++k) all.push_back(range(k));
  return all;
}

StepRange StepSet::range() const {
  DEEPPCR_ASSERT(is_contiguous(), "{} steps in {} ranges from step {} on", size_, num_ranges(),
                 first_);
  return {first_, last_};
}

StepRange StepSet::from(Index l) const {
  DEEPPCR_ASSERT(contains(l), "step {}", l);
  return {l, range(block_ == 0 ? 0 : row(l) / block_).last};
}

std::vector<StepSet> StepSet::cut(Index rows) const {
  DEEPPCR_ASSERT(rows >= 1, "pieces of {} steps", rows);
  if (size_ <= rows) return std::vector<StepSet>(empty() ? 0 : 1, *this);
  std::vector<StepSet> pieces;
  const Index at_once = std::max<Index>(1, rows / std::max<Index>(1, block_));  // ranges
  for (Index k = 0; k < num_ranges(); k += at_once) {
    const Index end = std::min(k + at_once, num_ranges());
    const Index first = range(k).first, last = range(end - 1).last;
    if (block_ <= rows) {
      pieces.emplace_back(first, last, block_, std::max(stride_, block_));
    } else {
      for (Index l = first; l < last; l += rows) pieces.emplace_back(l, std::min(l + rows, last));
    }
  }
  return pieces;
}

StepSet StepSet::shifted(Index by) const {
  StepSet moved = *this;
  moved.first_ += by;
  moved.last_ += by;
  return moved;
}

bool operator==(const StepSet& a, const StepSet& b) {
  return a.size() == b.size() && a.ranges() == b.ranges();
}

}  // namespace deeppcr
