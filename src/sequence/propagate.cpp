#include "deeppcr/sequence/propagate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/exchange.hpp"

namespace deeppcr::sequence {

namespace {

/// Number of ranges whose first state comes from another rank.
Index count_hops(const parallel::BlockLayout& layout, Index frozen) {
  if (layout.is_replicated()) return 0;
  Index hops = 0;
  for (const parallel::OwnedRange& part : layout.ranges())
    if (part.steps.first >= std::max<Index>(frozen, 1)) ++hops;
  return hops;
}

}  // namespace

// rank 0 [steps 0..] -> its last state -> rank 1 [steps ..] -> its last state -> rank 2 ...
// dealt:       rank 0 [block 0] -> rank 1 [block 1] -> rank 2 [block 2] -> rank 0 [block 3] ...
// replicated:  all ranks [steps 0..], no message
void propagate(const Sequence& sequence, Trajectory& trajectory, Index frozen,
               parallel::Traffic* traffic) {
  const parallel::Communicator& comm = trajectory.comm();
  const parallel::BlockLayout& layout = trajectory.layout();
  const StepSet local = trajectory.local_steps();
  const Index state = trajectory.batch() * trajectory.width();
  if (traffic != nullptr) {
    const Index hops = count_hops(layout, frozen);
    traffic->add(hops, hops * state * static_cast<Index>(sizeof(Real)));
  }
  const States states = trajectory.states();
  const auto row_of = [&](Index l) { return states.data() + local.row(l) * state; };
  Buffer<Real> left(state);
  for (const StepRange range : local.ranges()) {
    const StepRange todo{std::clamp(frozen, range.first, range.last), range.last};
    const Real* start = trajectory.input().data();
    if (todo.first > range.first) {
      start = row_of(todo.first - 1);
    } else if (range.first > 0) {
      comm.receive(left.data(), state, layout.owner(range.first - 1));
      start = left.data();
    }
    if (!todo.empty()) {
      const Index row = local.row(todo.first);
      sequence.propagate(todo, ConstState(start, {trajectory.batch(), trajectory.width()}),
                         states.slice(row, row + todo.size()));
    }
    // Who starts right behind waits, unless its first state is frozen.
    if (range.last < layout.num_steps() && range.last >= frozen)
      comm.send(row_of(range.last - 1), state, layout.owner(range.last));
  }
  if (!local.empty()) trajectory.touched();
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
    largest = std::max(largest, largest_entry({r.data(), {count, state}}));
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
  std::vector<double> norms;
  for (Index i = 0; i < r.extent(0); ++i) norms.push_back(largest_entry(r[i]));
  return norms;
}

}  // namespace deeppcr::sequence
