#include "deeppcr/sequence/propagate.hpp"

#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/cache.hpp"

namespace deeppcr::sequence {

// rank 0 [steps 0..] -> its last state -> rank 1 [steps ..] -> its last state -> rank 2 ...
void propagate(const Sequence& sequence, Trajectory& trajectory, Index frozen,
               parallel::Traffic* traffic) {
  const parallel::Communicator& comm = trajectory.comm();
  const StepRange local = trajectory.local_range();
  const Index state = trajectory.batch() * trajectory.width();
  const int last_rank = trajectory.layout().num_active_ranks() - 1;
  const StepRange todo{std::clamp(frozen, local.first, local.last), local.last};
  // One message from each rank to the next, from the first that has something to do.
  if (traffic != nullptr && frozen < trajectory.layout().num_steps()) {
    const Index hops = last_rank - trajectory.layout().owner(frozen);
    traffic->add(hops, hops * state * static_cast<Index>(sizeof(Real)));
  }
  if (local.empty()) return;

  const States states = trajectory.states();
  Buffer<Real> left(state);
  const Real* start = trajectory.input().data();
  // Only who has work behind the frozen states waits for the left neighbour.
  if (local.first > 0 && local.last > frozen) {
    sequence.prefetch(todo, idle_prefetch_bytes());
    comm.receive(left.data(), state, comm.rank() - 1);
    start = left.data();
  }
  if (todo.first > local.first) start = states.data() + (todo.first - local.first - 1) * state;
  if (!todo.empty()) {
    sequence.propagate(todo, ConstState(start, {trajectory.batch(), trajectory.width()}),
                       states.slice(todo.first - local.first, local.size()));
  }
  const bool right_waits =
      comm.rank() < last_rank && trajectory.layout().range(comm.rank() + 1).last > frozen;
  if (right_waits) comm.send(states.data() + (local.size() - 1) * state, state, comm.rank() + 1);
  trajectory.touched();
}

}  // namespace deeppcr::sequence
