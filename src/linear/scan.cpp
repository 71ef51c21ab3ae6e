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
  Cost cost;
  const Index L = problem.layout.num_steps(), steps = L - problem.frozen;
  const double n = problem.width, B = static_cast<double>(problem.batch);
  cost.sequential_flops = 2 * B * n * n * static_cast<double>(steps);
  if (steps <= 0) return cost;
  const int ranks = problem.layout.owner(L - 1) - problem.layout.owner(problem.frozen) + 1;
  for (int stride = 1; stride < ranks; stride *= 2) {
    const Index senders = ranks - stride;
    cost.levels.push_back(
        {senders, senders * 2 * problem.batch * problem.width * Index{sizeof(Real)}});
  }
  const auto most = static_cast<double>(longest_part(problem.layout));
  cost.critical_flops = B * n * (5 * most + 6 * static_cast<double>(cost.levels.size()));
  return cost;
}

CriticalPath Scan::path(const parallel::BlockLayout& layout) const {
  return {static_cast<double>(longest_part(layout)), 0};
}

double Scan::memory(const Problem& problem) const {
  constexpr double kMaps = 3;
  const auto rows = static_cast<double>(longest_part(problem.layout));
  return sizeof(Real) * static_cast<double>(problem.batch) * problem.width * (rows + 2 * kMaps);
}

double Scan::largest_message(const Problem& problem) const {
  const bool sends = problem.layout.num_ranks() > 1;
  return sends ? 2.0 * static_cast<double>(problem.batch) * problem.width : 0;
}

}  // namespace deeppcr::linear
