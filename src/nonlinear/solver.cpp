#include "deeppcr/nonlinear/solver.hpp"

#include <algorithm>

namespace deeppcr::nonlinear {

parallel::BlockLayout Solver::layout(const Problem& problem) const {
  return parallel::BlockLayout::balanced(problem.steps, problem.ranks);
}

Index longest_range(const parallel::BlockLayout& layout) {
  Index longest = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) longest = std::max(longest, layout.range(p).size());
  return longest;
}

}  // namespace deeppcr::nonlinear
