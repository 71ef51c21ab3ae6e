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

void DiagonalScan::solve(int first, int last, ConstStates m, States d) {
  levels_.assign(static_cast<std::size_t>(parallel::ceil_log2(last - first + 1)), {});
  const int rank = comm_.rank();
  if (rank < first || rank > last) return;
  state_ = d.extent(1) * d.extent(2);
  for (Buffer<Real>* map : {&inclusive_, &exclusive_, &received_}) map->reserve(2 * state_);
  // This rank's map: [prod m_l | r pushed through]. The first rank's constant is its solution.
  std::fill_n(inclusive_.data(), state_, Real{1});
  std::fill_n(inclusive_.data() + state_, state_, Real{0});
  for (Index l = 0; l < d.extent(0) && rank < last; ++l) {
    const Real *A = m.data() + l * state_, *r = d.data() + l * state_;
    for (Index i = 0; i < state_; ++i) {
      inclusive_[state_ + i] = A[i] * inclusive_[state_ + i] + r[i];
      inclusive_[i] *= A[i];
    }
  }
  reduce(first, last);
  // d before this rank's steps is the constant of the exclusive map, since d = 0 before all.
  const Real* before = exclusive_.data() + state_;
  for (Index l = 0; l < d.extent(0); ++l) {
    const Real* A = m.data() + l * state_;
    Real* x = d.data() + l * state_;
    for (Index i = 0; i < state_; ++i) x[i] += A[i] * before[i];
    before = x;
  }
}

// Level of stride s, position q; [i..j] is the composition of the maps at positions i to j:
//     BEFORE   inclusive [q-s+1 .. q]      exclusive [q-s+1 .. q-1]     (nothing before position 0)
//     message  q - s  --inclusive-->  q
//     AFTER    inclusive [q-2s+1 .. q]     exclusive [q-2s+1 .. q-1]
void DiagonalScan::reduce(int first, int last) {
  const int q = comm_.rank() - first;
  std::fill_n(exclusive_.data(), state_, Real{1});
  std::fill_n(exclusive_.data() + state_, state_, Real{0});
  std::size_t level = 0;
  for (int stride = 1; stride < last - first + 1; stride *= 2, ++level) {
    parallel::shift(comm_, {first, last, stride, Direction::forward}, inclusive_.data(), 2 * state_,
                    received_.data(), 2 * state_, levels_[level]);
    if (q < stride) continue;
    compose(state_, exclusive_.data(), received_.data());
    compose(state_, inclusive_.data(), received_.data());
  }
}

}  // namespace deeppcr::linear
