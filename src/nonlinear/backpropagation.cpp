#include "nonlinear/backpropagation.hpp"

#include <algorithm>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::nonlinear {

Backpropagation::Backpropagation(const blocks::Linearisation& A, const sequence::Sequence& sequence,
                                 StepRange local, ConstStates in,
                                 const sequence::ParameterGradients& grads, Index piece,
                                 std::function<void(StepRange)> ready)
    : Shifted(A),
      sequence_(sequence),
      local_(local),
      in_(in),
      grads_(grads),
      piece_(piece),
      ready_(std::move(ready)) {}

template <typename Visit>
void Backpropagation::each_piece(StepRange range, Visit&& visit) const {
  for (Index last = range.last; last > range.first;) {
    const StepRange piece{std::max(range.first, last - piece_), last};
    visit(piece);
    if (ready_) ready_(piece);
    last = piece.first;
  }
}

void Backpropagation::substitute(StepRange range, Direction direction, ConstStates rhs,
                                 States result, State carry) const {
  if (direction == Direction::forward) {
    all().substitute(range, direction, rhs, result, carry);
    return;
  }
  DEEPPCR_ASSERT(!grads_.any_shared(), "{} groups, of which one is shared", grads_.groups());
  each_piece(range, [&](StepRange piece) {
    const Index a = piece.first - range.first, b = piece.last - range.first;
    const Index first = piece.first - local_.first, last = piece.last - local_.first;
    grads_.slice(first, last, rows_);
    sequence_.backpropagate(all(), piece,
                            {in_.slice(first, last), blocks::rows_at(rhs, range.size(), a, b),
                             result.slice(a, b), carry, rows_});
  });
}

void Backpropagation::catch_up(StepRange range, ConstStates result) const {
  each_piece(range, [&](StepRange piece) {
    const Index first = piece.first - local_.first, last = piece.last - local_.first;
    grads_.slice(first, last, rows_);
    sequence_.parameter_gradient_at(
        all(), piece, in_.slice(first, last),
        result.slice(piece.first - range.first, piece.last - range.first), rows_);
  });
}

void Backpropagation::skip(StepRange range, States result) const {
  std::fill(result.begin(), result.end(), 0.0);
  grads_.slice(range.first - local_.first, range.last - local_.first, rows_);
  for (const View<Real, 2>& grads : rows_) std::fill(grads.begin(), grads.end(), 0.0);
}

}  // namespace deeppcr::nonlinear
