#include "linear/scan.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/parallel/exchange.hpp"

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
  const States d = part.result;
  const bool forward = direction == Direction::forward;
  const Index state = J_->batch() * J_->width();
  const Real* diagonals = diagonals_.data() + (J_->local_range().size() - steps) * state;
  own_.reset(2 * state);
  before_.reset(2 * state);
  std::fill_n(before_.data(), state, Real{1});
  // The last rank's map is read by nobody.
  if (part.position + 1 < part.count()) compose_own(diagonals, d, direction);
  const auto compose = [state](Real* later, const Real* earlier) {
    // (M, r) <- (M, r) o (M', r') = (M M', M r' + r)
    for (Index i = 0; i < state; ++i) {
      later[state + i] += later[i] * earlier[state + i];
      later[i] *= earlier[i];
    }
  };
  parallel::combine_before(J_->comm(), {part.first_rank, part.last_rank, 1, direction}, own_,
                           before_, compose, levels_);
  // What enters this rank's steps is the constant of the map before: zero enters the first.
  Real* carry = before_.data() + state;
  for (Index k = 0; k < steps; ++k) {
    const Index l = forward ? k : steps - 1 - k;
    const Real* A = diagonals + l * state;
    Real* x = d.data() + l * state;
    for (Index i = 0; i < state; ++i) {
      x[i] += forward ? A[i] * carry[i] : carry[i];
      carry[i] = forward ? x[i] : A[i] * x[i];
    }
  }
}

// [prod m_l | r pushed through]: forward v <- m v + r, backward v <- m (v + r).
void Scan::compose_own(const Real* diagonals, ConstStates r, Direction direction) {
  const bool forward = direction == Direction::forward;
  const Index steps = r.extent(0), state = r.extent(1) * r.extent(2);
  Real *matrix = own_.data(), *constant = matrix + state;
  std::fill_n(matrix, state, Real{1});
  for (Index k = 0; k < steps; ++k) {
    const Index l = forward ? k : steps - 1 - k;
    const Real *A = diagonals + l * state, *row = r.data() + l * state;
    for (Index i = 0; i < state; ++i) {
      constant[i] = forward ? A[i] * constant[i] + row[i] : A[i] * (constant[i] + row[i]);
      matrix[i] *= A[i];
    }
  }
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
