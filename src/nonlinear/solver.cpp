#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

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
