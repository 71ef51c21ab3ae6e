#include "linear/scan.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::linear {

void Scan::prepare() {
  const blocks::BlockBidiagonal& J = *J_;
  const StepRange local = J.local_range();
  const bool dense = !local.empty() && J.linearisation().structure() == blocks::Structure::dense;
  if (J.comm().max(dense ? 1.0 : 0.0) > 0) {
    throw input_error(
        "the linear solver 'scan' takes diagonal Jacobians only, and this model's have other "
        "entries; use hybrid");
  }
  scan_ = std::make_unique<DiagonalScan>(J.comm());
  diagonals_.reserve(local.size() * J.batch() * J.width());
  if (!local.empty()) {
    J.linearisation().diagonals(local,
                                States(diagonals_.data(), {local.size(), J.batch(), J.width()}));
  }
}

void Scan::run(Direction direction, ConstStates rhs, States result) {
  const StageTimer timer(stages_, "substitute");
  const Part part = active_part(direction, rhs, result);
  // The right-hand side may have the last rows only.
  const Index steps = part.range.size(), missing = steps - part.rhs.extent(0);
  const States head = part.result.slice(0, missing), rest = part.result.slice(missing, steps);
  if (part.rhs.data() != rest.data()) std::copy(part.rhs.begin(), part.rhs.end(), rest.begin());
  std::fill(head.begin(), head.end(), 0.0);
  const Index skipped = J_->local_range().size() - steps;
  const Real* diagonals = diagonals_.data() + skipped * J_->batch() * J_->width();
  scan_->solve(part.first_rank, part.last_rank, {diagonals, part.result.shape()}, part.result,
               direction);
  levels_ = scan_->level_traffic();
}

Cost Scan::cost(const Problem& problem) const {
  constexpr int kMaps = 3;
  Cost cost;
  const Index most = longest_part(problem.layout), ranks = problem.active_ranks();
  for (Index stride = 1; stride < ranks; stride *= 2) {
    const Index senders = ranks - stride;
    cost.levels.push_back({senders, senders * 2 * problem.state_bytes()});
  }
  const auto levels = static_cast<double>(cost.levels.size());
  cost.critical_flops = problem.state_reals() * (5 * static_cast<double>(most) + 6 * levels);
  // The diagonals are asked for step by step.
  cost.path.evaluations = static_cast<double>(most);
  cost.memory = static_cast<double>(problem.state_bytes() * (most + 2 * kMaps));
  cost.largest_message = problem.layout.num_ranks() > 1 ? 2 * problem.state_reals() : 0;
  return cost;
}

}  // namespace deeppcr::linear
