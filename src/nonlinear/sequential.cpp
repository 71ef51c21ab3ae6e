#include "deeppcr/nonlinear/sequential.hpp"

#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

double propagate_samples(const parallel::Communicator& comm, const sequence::Sequence& chain,
                         States states) {
  const Index L = states.extent(0) - 1, B = states.extent(1), n = states.extent(2);
  const auto parts = parallel::BlockLayout::balanced(B, comm.size());
  const StepRange mine = parts.range(comm.rank());
  Buffer<Real> values((L + 1) * mine.size() * n);
  const States z(values.data(), {L + 1, mine.size(), n});
  std::copy_n(states.data() + mine.first * n, z[0].size(), z.data());
  const sequence::FromSample part(chain, mine.first);
  comm.barrier();
  const Stopwatch watch;
  if (!mine.empty()) part->propagate({0, L}, z[0], z.slice(1, L + 1));
  const double seconds = comm.max(watch.seconds());
  parallel::Traffic ignored;
  for (Index l = 1; l <= L; ++l) {
    std::copy(z[l].begin(), z[l].end(), states[l].data() + mine.first * n);
    parallel::gather_rows(comm, parts.first_steps(), states[l].data(), n, ignored);
  }
  return seconds;
}

SolveReport Sequential::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                              const Monitors&) {
  const petsc::LogEvent event("nonlinear.sequential");
  const Index L = states.layout().num_steps();
  SolveReport report;
  report.method = "sequential";
  const Stopwatch watch;
  double seconds = 0;
  if (states.layout().is_replicated() && states.comm().size() > 1) {
    seconds = propagate_samples(states.comm(), chain, states.whole());
    states.touched();
  } else {
    sequence::propagate(chain, states, 0, &report.neighbours);
    seconds = watch.seconds();
  }
  // The slowest rank's time and the largest state of all in one call.
  std::vector<double> worst{seconds, largest_state(states)};
  states.comm().max(worst);
  report.seconds["total"] = report.seconds["propagate"] = worst[0];
  end_sequential(worst[1], L, {tolerance_}, report);
  report.evaluations = report.sequential_evaluations = L;
  report.path.evaluations = static_cast<double>(L);
  return report;
}

Cost Sequential::cost(const Problem& problem, const Effort&) const {
  const Index hops = layout(problem).num_active_ranks() - 1;
  Cost cost;
  cost.path.evaluations = static_cast<double>(problem.steps);
  if (problem.steps > 0) cost.neighbours = {hops, hops * problem.state_bytes()};
  cost.network = Rounds{static_cast<double>(hops), 0, 2}.seconds(problem);
  return cost;
}

double Sequential::memory(const Problem& problem) const {
  return static_cast<double>(problem.state_bytes());
}

std::optional<Index> coarsening(const std::string& guess) {
  const std::string coarse = "coarse:";
  if (guess.rfind(coarse, 0) != 0) return std::nullopt;
  return count_of(guess.substr(coarse.size()));
}

// rank 0 [steps ..] --last state--> rank 1 [steps ..] --last state--> rank 2 ..
void fill_with_coarse_chain(const sequence::Sequence& sequence, Index factor,
                            sequence::Trajectory& trajectory) {
  DEEPPCR_ASSERT(factor >= 1, "factor {}", factor);
  const parallel::Communicator& comm = trajectory.comm();
  const StepRange local = trajectory.local_range();
  if (local.empty()) return;
  const Index B = trajectory.batch(), n = trajectory.width(), size = B * n;
  Buffer<Real> from(size), change(size);
  std::copy_n(trajectory.input().data(), size, from.data());
  if (local.first > 0) comm.receive(from.data(), size, comm.rank() - 1);
  const States z = trajectory.states();
  for (Index l = local.first; l < local.last; l += factor) {
    // z_{l+j} = z_l + j (f_l(z_l) - z_l), j = 1 .. factor
    const Index steps = std::min(factor, local.last - l);
    sequence.value({l, l + 1}, ConstStates(from.data(), {1, B, n}),
                   States(change.data(), {1, B, n}));
    for (Index i = 0; i < size; ++i) change[i] -= from[i];
    for (Index j = 0; j < steps; ++j) {
      Real* to = z[l - local.first + j].data();
      for (Index i = 0; i < size; ++i) to[i] = from[i] + static_cast<Real>(j + 1) * change[i];
    }
    std::copy_n(z[l - local.first + steps - 1].data(), size, from.data());
  }
  if (comm.rank() + 1 < trajectory.layout().num_active_ranks())
    comm.send(from.data(), size, comm.rank() + 1);
  trajectory.touched();
}

}  // namespace deeppcr::nonlinear
