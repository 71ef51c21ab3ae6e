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
      local_(layout.steps(comm.rank()).range()),
      batch_(batch),
      starts_((local_.size() + 1) * batch * sequence.width()) {}

ConstStates ResidualEvaluator::starts() const {
  return {starts_.data(), {local_.size(), batch_, sequence_.width()}};
}

void ResidualEvaluator::gather_starts(ConstState z0, ConstStates z) {
  const Index m = local_.size(), state = batch_ * sequence_.width();
  parallel::halo(comm_, layout_, z.data(), starts_.data(), state, traffic_);
  if (m == 0) return;
  if (local_.first == 0) std::copy_n(z0.data(), state, starts_.data());
  std::copy_n(z.data(), m * state, starts_.data() + state);
}

void ResidualEvaluator::evaluate(ConstState z0, ConstStates z, States r, bool linearise) {
  gather_starts(z0, z);
  // r_l = f_l(z_{l-1}) - z_l
  linearisation_.reset();
  if (linearise) {
    linearisation_ = sequence_.linearise(local_, starts(), r);
  } else {
    sequence_.value(local_, starts(), r);
  }
  for (Index i = 0; i < z.size(); ++i) r.data()[i] -= z.data()[i];
}

bool ResidualEvaluator::is_linearised_at(ConstStates z) const {
  const Index state = batch_ * sequence_.width();
  const bool same = linearisation_ != nullptr &&
                    std::equal(z.data(), z.data() + z.size(), starts_.data() + state);
  return !comm_.any(!same);
}

namespace {

/// The largest residual of the steps of a range, in pieces that stay in the caches. left: the state
/// before the range; z: those after its steps, [range.size(), B, n].
double largest_residual_of(const Sequence& sequence, StepRange range, const Real* left,
                           ConstStates z) {
  constexpr Index kPiece = Index{1} << 20;  // reals
  const Index state = z.extent(1) * z.extent(2);
  const Index piece = std::max<Index>(1, kPiece / std::max<Index>(1, state));
  Buffer<Real> r(std::min(range.size(), piece) * state);
  double largest = 0;
  for (Index i = 0; i < range.size();) {
    // The states that steps i.. start from are those before them, but for the first step's.
    const Index count = i == 0 ? 1 : std::min(piece, range.size() - i);
    const std::array<Index, 3> shape{count, z.extent(1), z.extent(2)};
    const Real* starts = i == 0 ? left : z.data() + (i - 1) * state;
    const States out(r.data(), shape);
    sequence.value({range.first + i, range.first + i + count}, ConstStates(starts, shape), out);
    for (Index j = 0; j < count * state; ++j) r[j] -= z.data()[i * state + j];
    for (double norm : step_norms(out)) largest = std::max(largest, norm);
    i += count;
  }
  return largest;
}

}  // namespace

double largest_residual(const Sequence& sequence, const Trajectory& trajectory) {
  const parallel::Communicator& comm = trajectory.comm();
  const StepSet local = trajectory.local_steps();
  const ConstStates z = trajectory.states();
  const Index state = trajectory.batch() * trajectory.width();
  Buffer<Real> left(local.num_ranges() * state);
  parallel::Traffic traffic;
  parallel::halo(comm, trajectory.layout(), z.data(), left.data(), state, traffic);
  if (local.contains(Index{0})) std::copy_n(trajectory.input().data(), state, left.data());
  double largest = 0;
  for (Index k = 0; k < local.num_ranges(); ++k) {
    const StepRange range = local.range(k);
    const Index row = local.row(range.first);
    largest = std::max(largest, largest_residual_of(sequence, range, left.data() + k * state,
                                                    z.slice(row, row + range.size())));
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
