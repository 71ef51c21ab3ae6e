#include "deeppcr/nonlinear/solver.hpp"

#include <algorithm>

namespace deeppcr::nonlinear {

parallel::BlockLayout Solver::layout(const Problem& problem) const {
  return parallel::BlockLayout::balanced(problem.steps, problem.ranks);
}

double Solver::largest_message(const Problem& problem) const {
  return problem.ranks > 1 ? static_cast<double>(problem.batch) * problem.width : 0;
}

Index longest_range(const parallel::BlockLayout& layout) { return linear::longest_part(layout); }

}  // namespace deeppcr::nonlinear
