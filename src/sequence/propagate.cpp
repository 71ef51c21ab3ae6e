#include "deeppcr/sequence/propagate.hpp"

#include <algorithm>

#include "deeppcr/core/buffer.hpp"

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

}  // namespace deeppcr::sequence
