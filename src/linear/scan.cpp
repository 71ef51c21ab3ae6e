#include "linear/scan.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

namespace {

/// y = A x or A^T x for a state x of n numbers, and y may be x: A [n] is a diagonal; of pairs [2,
/// n] has what number i, and then what number i + n / 2, contributes to both.
void multiply(bool paired, bool transposed, Index n, const Real* A, const Real* x, Real* y) {
  if (!paired) {
    for (Index i = 0; i < n; ++i) y[i] = A[i] * x[i];
    return;
  }
  const Index half = n / 2;
  const Real *of_second = A + (transposed ? half : n), *of_first = A + (transposed ? n : half);
  for (Index i = 0; i < half; ++i) {
    const Real first = x[i], second = x[half + i];
    y[i] = A[i] * first + of_second[i] * second;
    y[half + i] = of_first[i] * first + A[n + half + i] * second;
  }
}

}  // namespace

void Scan::prepare() {
  const blocks::BlockBidiagonal& J = *J_;
  const StepRange local = J.local_range();
  const blocks::Structure known =
      local.empty() ? blocks::Structure::scaled_identity : J.linearisation().structure();
  // The least that any rank knows; structures are ordered by what is known.
  const auto least =
      static_cast<blocks::Structure>(static_cast<int>(-J.comm().max(-static_cast<double>(known))));
  if (least == blocks::Structure::dense) {
    throw input_error(
        "the linear solver 'scan' takes Jacobians of diagonals only, and this model's have other "
        "entries; use hybrid");
  }
  paired_ = least == blocks::Structure::paired_diagonals;
  const std::array<Index, 3> states{local.size(), J.batch(), J.width()};
  blocks_.reserve(columns() * states[0] * states[1] * states[2]);
  if (local.empty()) return;
  if (paired_) {
    J.linearisation().paired_diagonals(local,
                                       {blocks_.data(), {states[0], states[1], 2, states[2]}});
  } else {
    J.linearisation().diagonals(local, States(blocks_.data(), states));
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
  const Index state = J_->batch() * J_->width(), matrix = columns() * state;
  const Real* A = blocks_.data() + (J_->local_range().size() - steps) * matrix;
  own_.reset(matrix + state);
  before_.reset(matrix + state);
  set_identity(before_.data());
  // The last rank's map is read by nobody.
  if (part.position + 1 < part.count()) compose_own(A, d, direction);
  parallel::combine_before(
      J_->comm(), {part.first_rank, part.last_rank, direction}, own_, before_,
      [this](Real* later, const Real* earlier) { compose(later, earlier); }, levels_);
  // What enters this rank's steps is the constant of the map before: zero enters the first.
  Real* carry = before_.data() + matrix;
  for (Index k = 0; k < steps; ++k) {
    const Index l = forward ? k : steps - 1 - k;
    Real* x = d.data() + l * state;
    // forward: carry = x = A carry + r; backward: x = carry + c, carry = A^T x
    if (forward) apply(A + l * matrix, direction, carry, carry);
    for (Index i = 0; i < state; ++i) carry[i] = x[i] += carry[i];
    if (!forward) apply(A + l * matrix, direction, carry, carry);
  }
}

/// y = A x, or A^T x, for each sample.
void Scan::apply(const Real* A, Direction direction, const Real* x, Real* y) const {
  const bool transposed = direction == Direction::backward;
  if (!paired_) return multiply(false, transposed, J_->batch() * J_->width(), A, x, y);
  const Index n = J_->width();
  for (Index b = 0; b < J_->batch(); ++b)
    multiply(true, transposed, n, A + 2 * b * n, x + b * n, y + b * n);
}

/// The same for the columns of a matrix X of each sample.
void Scan::apply_to_columns(const Real* A, Direction direction, Real* X) const {
  if (!paired_) return apply(A, direction, X, X);
  const bool transposed = direction == Direction::backward;
  const Index n = J_->width();
  for (Index column = 0; column < 2 * J_->batch(); ++column)
    multiply(true, transposed, n, A + column / 2 * 2 * n, X + column * n, X + column * n);
}

void Scan::set_identity(Real* M) const {
  const Index n = J_->width(), size = columns() * J_->batch() * n;
  for (Index i = 0; i < size; ++i) M[i] = !paired_ || i / n % 2 == i % n / (n / 2) ? 1 : 0;
}

// (M, r) <- (M, r) o (M', r') = (M M', M r' + r)
void Scan::compose(Real* later, const Real* earlier) {
  const Index state = J_->batch() * J_->width(), matrix = columns() * state;
  product_.reserve(matrix + state);
  Real *M = product_.data(), *r = M + matrix;
  std::copy_n(earlier, matrix, M);
  apply_to_columns(later, Direction::forward, M);
  apply(later, Direction::forward, earlier + matrix, r);
  std::copy_n(M, matrix, later);
  for (Index i = 0; i < state; ++i) later[matrix + i] += r[i];
}

// [prod A_l | r pushed through]: forward v <- A v + r, backward v <- A^T (v + r).
void Scan::compose_own(const Real* A, ConstStates r, Direction direction) {
  const bool forward = direction == Direction::forward;
  const Index steps = r.extent(0), state = r.extent(1) * r.extent(2), matrix = columns() * state;
  Real *M = own_.data(), *constant = M + matrix;
  set_identity(M);
  for (Index k = 0; k < steps; ++k) {
    const Index l = forward ? k : steps - 1 - k;
    const Real* row = r.data() + l * state;
    if (forward) apply(A + l * matrix, direction, constant, constant);
    for (Index i = 0; i < state; ++i) constant[i] += row[i];
    if (!forward) apply(A + l * matrix, direction, constant, constant);
    apply_to_columns(A + l * matrix, direction, M);
  }
}

// The diagonals are asked for step by step.
CriticalPath Scan::path(const parallel::BlockLayout& layout) const {
  return {static_cast<double>(layout.longest()), 0};
}

Cost Scan::cost(const Problem& problem) const {
  constexpr int kMaps = 3;
  Cost cost;
  const Index most = problem.layout.longest();
  const Index map = (columns() + 1) * problem.state_bytes();
  cost.network = machine().network.scan(static_cast<double>(map), problem.active_ranks());
  cost.levels = problem.scan_lines().traffic(map, map);
  const auto levels = static_cast<double>(cost.levels.size());
  const auto numbers = static_cast<double>(columns());
  cost.critical_flops =
      problem.state_reals() * numbers * (5 * static_cast<double>(most) + 6 * levels);
  cost.path = path(problem.layout);
  cost.memory = static_cast<double>(problem.state_bytes() * columns() * (most + 2 * kMaps));
  cost.largest_message = problem.layout.num_ranks() > 1 ? (numbers + 1) * problem.state_reals() : 0;
  return cost;
}

}  // namespace deeppcr::linear
