#include "deeppcr/linear/linear_solver.hpp"

#include <algorithm>

namespace deeppcr::linear {

int Problem::active_ranks() const {
  if (active_steps() <= 0) return 0;
  return layout.owner(layout.num_steps() - 1) - layout.owner(frozen) + 1;
}

parallel::ScanLines Problem::scan_lines() const {
  const int ranks = active_ranks(), first = ranks > 0 ? layout.owner(frozen) : 0;
  return {first, node_ranks, first, first + ranks - 1, Direction::forward};
}

LinearSolver::Part LinearSolver::active_part(Direction direction, ConstStates rhs,
                                             States result) const {
  const bool forward = direction == Direction::forward;
  const parallel::BlockLayout& layout = J_->layout();
  const StepRange local = J_->local_range();
  Part part{local, rhs, result};
  Index first_step = 0;
  if (forward) {
    first_step = J_->frozen();
    part.range = J_->active_range();
    const Index frozen = part.range.first - local.first;
    const States head = result.slice(0, frozen);
    std::fill(head.begin(), head.end(), 0.0);
    part.rhs = rhs.slice(frozen, local.size());
    part.result = result.slice(frozen, local.size());
  }
  if (first_step >= layout.num_steps()) return part;
  part.first_rank = layout.owner(first_step);
  part.last_rank = layout.num_active_ranks() - 1;
  const int rank = J_->comm().rank();
  part.position = forward ? rank - part.first_rank : part.last_rank - rank;
  return part;
}

}  // namespace deeppcr::linear
