#include "deeppcr/sequence/residual.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::sequence {

ResidualEvaluator::ResidualEvaluator(const parallel::Communicator& comm, const Sequence& sequence,
                                     const parallel::BlockLayout& layout, Index batch)
    : comm_(comm),
      sequence_(sequence),
      layout_(layout),
      batch_(batch),
      starts_((layout.range(comm.rank()).size() + 1) * batch * sequence.width()) {}

ConstStates ResidualEvaluator::starts() const {
  return {starts_.data(), {layout_.range(comm_.rank()).size(), batch_, sequence_.width()}};
}

void ResidualEvaluator::gather_starts(ConstState z0, ConstStates z) {
  const StepRange local = layout_.range(comm_.rank());
  const Index m = local.size(), state = batch_ * sequence_.width();
  parallel::halo(comm_, 0, layout_.num_active_ranks() - 1, Direction::forward, last_state(z),
                 starts_.data(), m > 0 ? state : 0, traffic_);
  if (m == 0) return;
  if (local.first == 0) std::copy_n(z0.data(), state, starts_.data());
  std::copy_n(z.data(), m * state, starts_.data() + state);
}

void ResidualEvaluator::evaluate(ConstState z0, ConstStates z, States r, bool linearise) {
  const StepRange local = layout_.range(comm_.rank());
  gather_starts(z0, z);
  // r_l = f_l(z_{l-1}) - z_l
  linearisation_.reset();
  if (linearise) {
    linearisation_ = sequence_.linearise(local, starts(), r);
  } else {
    sequence_.value(local, starts(), r);
  }
  for (Index i = 0; i < z.size(); ++i) r.data()[i] -= z.data()[i];
}

bool ResidualEvaluator::is_linearised_at(ConstStates z) const {
  const Index state = batch_ * sequence_.width();
  const bool same = linearisation_ != nullptr &&
                    std::equal(z.data(), z.data() + z.size(), starts_.data() + state);
  return !comm_.any(!same);
}

double largest_residual(const Sequence& sequence, const Trajectory& trajectory) {
  constexpr Index kPiece = Index{1} << 20;  // reals of a piece: it stays in the caches
  const parallel::Communicator& comm = trajectory.comm();
  const StepRange local = trajectory.local_range();
  const ConstStates z = trajectory.states();
  const Index m = local.size(), state = trajectory.batch() * trajectory.width();
  Buffer<Real> left(state);
  std::copy_n(trajectory.input().data(), state, left.data());
  parallel::Traffic traffic;
  parallel::halo(comm, 0, trajectory.layout().num_active_ranks() - 1, Direction::forward,
                 last_state(z), left.data(), state, traffic);
  const Index piece = std::max<Index>(1, kPiece / std::max<Index>(1, state));
  Buffer<Real> r(std::min(m, piece) * state);
  double largest = 0;
  for (Index i = 0; i < m;) {
    // The states that steps i.. start from are those before them; the first step's come from the
    // left neighbour.
    const Index count = i == 0 ? 1 : std::min(piece, m - i);
    const std::array<Index, 3> shape{count, trajectory.batch(), trajectory.width()};
    const Real* starts = i == 0 ? left.data() : z.data() + (i - 1) * state;
    const States out(r.data(), shape);
    sequence.value({local.first + i, local.first + i + count}, ConstStates(starts, shape), out);
    for (Index j = 0; j < count * state; ++j) r[j] -= z.data()[i * state + j];
    for (double norm : step_norms(out)) largest = std::max(largest, norm);
    i += count;
  }
  return comm.max(largest);
}

std::vector<double> step_norms(ConstStates r) {
  const Index m = r.extent(0), state = r.extent(1) * r.extent(2);
  std::vector<double> norms(static_cast<std::size_t>(m));
  for (Index i = 0; i < m; ++i) {
    double largest = 0, nan_probe = 0;
    for (Index j = 0; j < state; ++j) {
      const double value = r.data()[i * state + j];
      largest = std::max(largest, std::abs(value));
      nan_probe += value * 0.0;  // NaN for NaN and infinity, which max() may drop
    }
    norms[static_cast<std::size_t>(i)] =
        nan_probe == 0.0 ? largest : std::numeric_limits<double>::infinity();
  }
  return norms;
}

}  // namespace deeppcr::sequence
