#include "deeppcr/nonlinear/backpropagation.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::nonlinear {

Backpropagation::Backpropagation(const blocks::Linearisation& A,
                                 const sequence::ParametricSequence& sequence, StepRange local,
                                 ConstStates in, View<Real, 2> grads, Index piece,
                                 std::function<void(StepRange)> ready)
    : A_(A),
      sequence_(sequence),
      local_(local),
      in_(in),
      grads_(grads),
      piece_(piece > 0 ? piece : std::max<Index>(1, local.size())),
      ready_(std::move(ready)) {}

void Backpropagation::substitute_transposed(StepRange range, ConstStates rhs, States result,
                                            State carry) const {
  // rhs has the rows of the last steps of the range only
  const Index before_rhs = range.size() - rhs.extent(0);
  for (Index last = range.last; last > range.first;) {
    const Index first = std::max(range.first, last - piece_);
    const Index a = first - range.first, b = last - range.first;
    const Index row = std::max(a, before_rhs), end = std::max(b, before_rhs);
    sequence_.backpropagate(A_, {first, last},
                            {in_.slice(first - local_.first, last - local_.first),
                             rhs.slice(row - before_rhs, end - before_rhs), result.slice(a, b),
                             carry, grads_.slice(first - local_.first, last - local_.first)});
    if (ready_) ready_({first, last});
    last = first;
  }
}

void Backpropagation::skip_transposed(StepRange range, States result) const {
  A_.skip_transposed(range, result);
  const auto grads = grads_.slice(range.first - local_.first, range.last - local_.first);
  std::fill(grads.begin(), grads.end(), 0.0);
}

}  // namespace deeppcr::nonlinear
