#include "deeppcr/nonlinear/sequential.hpp"

#include <cmath>

#include "conclusion.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::nonlinear {

SolveReport Sequential::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                              Monitor*) {
  const Index L = states.layout().num_steps();
  SolveReport report;
  report.method = "sequential";
  const Stopwatch watch;
  sequence::propagate(chain, states, 0, &report.neighbours);
  const double largest = largest_state(states);
  // The slowest rank's time and the largest state of all in one call.
  std::vector<double> worst{watch.seconds(), largest};
  states.comm().max(worst);
  report.seconds["total"] = report.seconds["propagate"] = worst[0];
  take_sequential(worst[1], L, {tolerance_}, report);
  report.evaluations = report.sequential_evaluations = L;
  report.path.evaluations = static_cast<double>(L);
  report.status = std::isfinite(worst[1]) ? Status::converged : Status::failed;
  if (report.status == Status::failed) {
    report.reason = "the chain itself overflows or meets a value that is no number";
    report.frozen_prefix = 0;
  }
  return report;
}

Cost Sequential::cost(const Problem& problem, const Effort&) const {
  const Index hops = layout(problem).num_active_ranks() - 1;
  Cost cost;
  cost.path.evaluations = static_cast<double>(problem.steps);
  if (problem.steps > 0) cost.neighbours = {hops, hops * problem.state_bytes()};
  return cost;
}

double Sequential::memory(const Problem& problem) const {
  return static_cast<double>(problem.state_bytes());
}

}  // namespace deeppcr::nonlinear
