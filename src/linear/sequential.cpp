#include "linear/sequential.hpp"

#include <algorithm>

#include "deeppcr/core/cache.hpp"
#include "deeppcr/linear/local_chain.hpp"

namespace deeppcr::linear {

void Sequential::setup(const blocks::BlockBidiagonal& J) {
  J_ = &J;
  carry_.reset(J.batch() * J.width());
}

void Sequential::solve(ConstStates r, States d) {
  const StepRange local = J_->local_range(), active = J_->active_range();
  const Index frozen = active.first - local.first;
  const States head = d.slice(0, frozen);
  std::fill(head.begin(), head.end(), 0.0);
  walk(Direction::forward, active, r.slice(frozen, local.size()), d.slice(frozen, local.size()));
}

void Sequential::solve_transpose(ConstStates c, States g) {
  walk(Direction::backward, J_->local_range(), c, g);
}

// rank 0 [.. last] --carry--> rank 1 [first .. last] --carry--> rank 2 ...   (backward: from the
// right)
void Sequential::walk(Direction direction, StepRange range, ConstStates rhs, States result) {
  const StageTimer timer(stages_, "substitute");
  neighbours_ = {};
  levels_.clear();
  if (range.empty()) return;
  const parallel::Communicator& comm = J_->comm();
  const parallel::BlockLayout& layout = J_->layout();
  const bool forward = direction == Direction::forward;
  const Index first_row = forward ? J_->frozen() : 0;
  const int first = layout.owner(first_row), last = layout.num_active_ranks() - 1;
  const int from = forward ? comm.rank() - 1 : comm.rank() + 1;
  const int to = forward ? comm.rank() + 1 : comm.rank() - 1;
  const Index state = carry_.size();
  if (first <= from && from <= last) {
    LocalChain::prefetch(J_->linearisation(), direction, range, idle_prefetch_bytes());
    comm.receive(carry_.data(), state, from);
  } else {
    std::fill(carry_.begin(), carry_.end(), 0.0);
  }
  const blocks::Linearisation& A = J_->linearisation();
  const blocks::Strand part{range, rhs, result, State(carry_.data(), {J_->batch(), J_->width()})};
  if (to < first || to > last) {
    LocalChain::substitute(A, direction, part);
    return;
  }
  LocalChain::substitute_first(A, direction, part);
  comm.send(carry_.data(), state, to);
  neighbours_.add(1, state * static_cast<Index>(sizeof(Real)));
  LocalChain::catch_up(A, direction, part);
}

Cost Sequential::cost(const Problem& problem) const {
  Cost cost;
  const Index L = problem.layout.num_steps(), steps = L - problem.frozen;
  const double n = problem.width, B = static_cast<double>(problem.batch);
  cost.sequential_flops = 2 * B * n * n * static_cast<double>(steps);
  cost.critical_flops = cost.sequential_flops;
  if (steps <= 0) return cost;
  const Index hops = problem.layout.owner(L - 1) - problem.layout.owner(problem.frozen);
  cost.neighbours = {hops, hops * problem.batch * problem.width * Index{sizeof(Real)}};
  return cost;
}

CriticalPath Sequential::path(const parallel::BlockLayout& layout) const {
  return {static_cast<double>(layout.num_steps()), 0};
}

double Sequential::memory(const Problem& problem) const {
  return sizeof(Real) * static_cast<double>(problem.batch) * problem.width;
}

double Sequential::largest_message(const Problem& problem) const {
  return problem.layout.num_ranks() > 1 ? static_cast<double>(problem.batch) * problem.width : 0;
}

}  // namespace deeppcr::linear
