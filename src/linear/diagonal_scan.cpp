#include "deeppcr/linear/diagonal_scan.hpp"

#include <algorithm>

#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

void DiagonalScan::solve(int first, int last, ConstStates m, States d, Direction direction) {
  const int rank = comm_.rank();
  const bool forward = direction == Direction::forward, mine = first <= rank && rank <= last;
  if (mine) {
    state_ = d.extent(1) * d.extent(2);
    own_.reset(2 * state_);
    before_.reset(2 * state_);
    std::fill_n(before_.data(), state_, Real{1});
    // The last rank's map is read by nobody.
    if (rank != (forward ? last : first)) compose_own(m, d, direction);
  }
  const auto compose = [n = state_](Real* later, const Real* earlier) {
    // (M, r) <- (M, r) o (M', r') = (M M', M r' + r)
    for (Index i = 0; i < n; ++i) {
      later[n + i] += later[i] * earlier[n + i];
      later[i] *= earlier[i];
    }
  };
  parallel::combine_before(comm_, {first, last, 1, direction}, own_, before_, compose, levels_);
  if (!mine) return;
  // What enters this rank's steps is the constant of the map before: zero enters the first.
  Real* carry = before_.data() + state_;
  const Index steps = d.extent(0);
  for (Index k = 0; k < steps; ++k) {
    const Index l = forward ? k : steps - 1 - k;
    const Real* A = m.data() + l * state_;
    Real* x = d.data() + l * state_;
    for (Index i = 0; i < state_; ++i) {
      x[i] += forward ? A[i] * carry[i] : carry[i];
      carry[i] = forward ? x[i] : A[i] * x[i];
    }
  }
}

// [prod m_l | r pushed through]: forward v <- m v + r, backward v <- m (v + r).
void DiagonalScan::compose_own(ConstStates m, ConstStates r, Direction direction) {
  const bool forward = direction == Direction::forward;
  Real *matrix = own_.data(), *constant = matrix + state_;
  std::fill_n(matrix, state_, Real{1});
  const Index steps = r.extent(0);
  for (Index k = 0; k < steps; ++k) {
    const Index l = forward ? k : steps - 1 - k;
    const Real *A = m.data() + l * state_, *row = r.data() + l * state_;
    for (Index i = 0; i < state_; ++i) {
      constant[i] = forward ? A[i] * constant[i] + row[i] : A[i] * (constant[i] + row[i]);
      matrix[i] *= A[i];
    }
  }
}

}  // namespace deeppcr::linear
