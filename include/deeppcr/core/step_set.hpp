#pragma once

#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// Steps in rising order: a range, or blocks of equally many steps at equal distances, of which the
/// last one may be shorter. What one rank holds of a chain, whatever the layout; the steps that it
/// holds are its rows 0..size()-1. All questions are answered in O(1).
///
///     StepSet(2, 13, 3, 5)   steps  2 3 4 . . 7 8 9 . . 12
///                            rows   0 1 2     3 4 5     6
class StepSet {
 public:
  StepSet() = default;
  /// All steps of a range.
  StepSet(StepRange range);  // NOLINT(google-explicit-constructor): a range is a set
  StepSet(Index first, Index last) : StepSet(StepRange{first, last}) {}
  /// Of the steps first..last-1 the first `block` of each `stride`. @pre 1 <= block <= stride
  StepSet(Index first, Index last, Index block, Index stride);

  Index size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool contains(Index l) const {
    if (l < first_ || l >= last_) return false;
    return l - first_ < block_ || (l - first_) % stride_ < block_;
  }
  /// Whether one of ranges() holds all of `range`.
  bool contains(StepRange range) const;
  /// The local row of step l. @pre contains(l)
  Index row(Index l) const {
    const Index at = l - first_;
    return at < block_ ? at : at / stride_ * block_ + at % stride_;
  }
  /// The step of a row. @pre 0 <= row < size()
  Index step(Index row) const {
    return row < block_ ? first_ + row : first_ + row / block_ * stride_ + row % block_;
  }

  Index num_ranges() const { return size_ == 0 ? 0 : (size_ - 1) / block_ + 1; }
  /// The k-th of num_ranges(). Steps in one range follow each other, and so do their rows.
  StepRange range(Index k) const;
  /// All of them, in order.
  std::vector<StepRange> ranges() const;
  bool is_contiguous() const { return size_ <= block_; }
  /// All steps, as one range. @pre is_contiguous()
  StepRange range() const;
  /// The range that step l lies in, from l on. @pre contains(l)
  StepRange from(Index l) const;

  /// The set in order, in sets of at most `rows` steps. @pre rows >= 1
  std::vector<StepSet> cut(Index rows) const;
  /// Every step moved by so many.
  StepSet shifted(Index by) const;

 private:
  Index first_ = 0;
  Index last_ = 0;    ///< behind the last step
  Index block_ = 0;   ///< steps of a range; all of them where there is one
  Index stride_ = 1;  ///< from the first step of a range to that of the next
  Index size_ = 0;
};

bool operator==(const StepSet& a, const StepSet& b);

}  // namespace deeppcr
