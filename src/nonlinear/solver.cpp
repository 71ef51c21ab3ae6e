#include "deeppcr/nonlinear/solver.hpp"

#include "deeppcr/core/machine.hpp"
#include "deeppcr/linear/chunk_facts.hpp"

namespace deeppcr::nonlinear {

double Rounds::seconds(const Problem& problem) const {
  const Network& network = machine().network;
  const int P = problem.ranks;
  return messages * network.message(static_cast<double>(problem.state_bytes()), P) +
         scans * network.scan(linear::kJudgementBytes, P) + reductions * network.reduction(P);
}

parallel::BlockLayout Solver::layout(const Problem& problem) const {
  return parallel::BlockLayout::balanced(problem.steps, problem.ranks);
}

double Solver::largest_message(const Problem& problem) const {
  return problem.ranks > 1 ? static_cast<double>(problem.batch) * problem.width : 0;
}

const char* to_string(Status status) {
  constexpr const char* kNames[] = {"converged", "fell_back", "failed", "interrupted"};
  return kNames[static_cast<int>(status)];
}

}  // namespace deeppcr::nonlinear
