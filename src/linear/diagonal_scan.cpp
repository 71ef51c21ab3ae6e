#include "deeppcr/linear/diagonal_scan.hpp"

#include <algorithm>

#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::linear {

namespace {

// (M, r) <- (M, r) o (M', r') = (M M', M r' + r)
void compose(Index n, Real* later, const Real* earlier) {
  for (Index i = 0; i < n; ++i) {
    later[n + i] += later[i] * earlier[n + i];
    later[i] *= earlier[i];
  }
}

}  // namespace

void DiagonalScan::solve(int first, int last, ConstStates m, States d, Direction direction) {
  levels_.assign(static_cast<std::size_t>(parallel::ceil_log2(last - first + 1)), {});
  const int rank = comm_.rank();
  if (rank < first || rank > last) return;
  state_ = d.extent(1) * d.extent(2);
  for (Buffer<Real>* map : {&inclusive_, &exclusive_, &received_}) map->reserve(2 * state_);
  const bool forward = direction == Direction::forward;
  // The last rank's map is read by nobody.
  if (rank == (forward ? last : first)) {
    std::fill_n(inclusive_.data(), 2 * state_, Real{0});
  } else {
    compose_own(m, d, direction);
  }
  reduce(first, last, direction);
  // What enters this rank's steps is the constant of the exclusive map: zero enters the first.
  Real* carry = exclusive_.data() + state_;
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
  Real *matrix = inclusive_.data(), *constant = matrix + state_;
  std::fill_n(matrix, state_, Real{1});
  std::fill_n(constant, state_, Real{0});
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

// Level of stride s, position q along the direction; [i..j] is the composition of the maps at
// positions i to j:
//     BEFORE   inclusive [q-s+1 .. q]      exclusive [q-s+1 .. q-1]     (nothing before position 0)
//     message  q - s  --inclusive-->  q
//     AFTER    inclusive [q-2s+1 .. q]     exclusive [q-2s+1 .. q-1]
void DiagonalScan::reduce(int first, int last, Direction direction) {
  const int q = direction == Direction::forward ? comm_.rank() - first : last - comm_.rank();
  std::fill_n(exclusive_.data(), state_, Real{1});
  std::fill_n(exclusive_.data() + state_, state_, Real{0});
  std::size_t level = 0;
  for (int stride = 1; stride < last - first + 1; stride *= 2, ++level) {
    parallel::shift(comm_, {first, last, stride, direction}, inclusive_.data(), 2 * state_,
                    received_.data(), 2 * state_, levels_[level]);
    if (q < stride) continue;
    compose(state_, exclusive_.data(), received_.data());
    compose(state_, inclusive_.data(), received_.data());
  }
}

}  // namespace deeppcr::linear
