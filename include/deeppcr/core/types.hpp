#pragma once

#include <cstddef>
#include <cstdint>

namespace deeppcr {

using Real = double;
/// Counts and positions of steps, samples and array elements over all ranks.
using Index = std::int64_t;

/// A contiguous range of steps [first, last), by global index. A chain of L steps has steps 0..L-1;
/// step l maps state l to state l + 1, so state 0 is the input of the chain.
struct StepRange {
  Index first = 0;
  Index last = 0;

  Index size() const { return last - first; }
  bool empty() const { return last <= first; }
  bool contains(Index l) const { return first <= l && l < last; }
};

inline bool operator==(const StepRange& a, const StepRange& b) {
  return a.first == b.first && a.last == b.last;
}

/// The common part of two ranges; empty (first == last) where there is none.
inline StepRange intersect(StepRange a, StepRange b) {
  const Index first = a.first > b.first ? a.first : b.first;
  const Index last = a.last < b.last ? a.last : b.last;
  return {first, last < first ? first : last};
}

/// Which way a chain is walked: forward (states) or backward (gradients).
enum class Direction { forward, backward };

}  // namespace deeppcr
