#include "linear/sequential.hpp"

#include <algorithm>

#include "deeppcr/core/machine.hpp"

namespace deeppcr::linear {

void Sequential::prepare() { carry_.reset(J_->batch() * J_->width()); }

// rank 0 [.. last] --carry--> rank 1 [first .. last] --carry--> rank 2 ...   (backward: from the
// right)
void Sequential::run(Direction direction, ConstStates rhs, States result) {
  const StageTimer timer(stages_, "substitute");
  const Part part = active_part(direction, rhs, result);
  if (part.range.empty()) return;
  const parallel::Communicator& comm = J_->comm();
  const blocks::Linearisation& A = J_->linearisation();
  const int step = direction == Direction::forward ? 1 : -1;
  const Index state = carry_.size();
  const State carry(carry_.data(), {J_->batch(), J_->width()});
  if (part.position > 0) {
    comm.receive(carry_.data(), state, comm.rank() - step);
  } else {
    std::fill(carry_.begin(), carry_.end(), 0.0);
  }
  if (part.position + 1 == part.count()) {
    A.substitute(part.range, direction, part.rhs, part.result, carry);
    return;
  }
  blocks::substitute_first(A, part.range, direction, part.rhs, part.result, carry);
  comm.send(carry_.data(), state, comm.rank() + step);
  neighbours_.add(1, state * static_cast<Index>(sizeof(Real)));
  blocks::catch_up(A, part.range, direction, part.result);
}

CriticalPath Sequential::path(const parallel::BlockLayout& layout) const {
  return {static_cast<double>(layout.num_steps()), 0};
}

Cost Sequential::cost(const Problem& problem) const {
  Cost cost;
  cost.path = path(problem.layout);
  cost.critical_flops = problem.flops(problem.active_steps());
  const Index hops = std::max(0, problem.active_ranks() - 1);
  cost.neighbours = {hops, hops * problem.state_bytes()};
  cost.network = static_cast<double>(hops) *
                 machine().network.message(static_cast<double>(problem.state_bytes()),
                                           problem.layout.num_ranks());
  cost.memory = static_cast<double>(problem.state_bytes());
  cost.largest_message = problem.layout.num_ranks() > 1 ? problem.state_reals() : 0;
  return cost;
}

}  // namespace deeppcr::linear
