#include "linear/shooting.hpp"

#include <algorithm>

#include "linear/shooting_run.hpp"

namespace deeppcr::linear {

Shooting::Shooting(Settings settings) : settings_(settings) {}

void Shooting::run(Direction direction, ConstStates rhs, States result) {
  const StageTimer timer(stages_, "substitute");
  // The right-hand side is read again for each sweep; frozen steps have nothing to correct.
  Buffer<Real> copy;
  const Index frozen =
      direction == Direction::backward ? 0 : J_->active_range().first - J_->local_range().first;
  if (rhs.data() == result.data() || frozen > 0) {
    copy.reset(rhs.size());
    std::copy(rhs.begin(), rhs.end(), copy.begin());
    std::fill_n(copy.begin(), frozen * J_->batch() * J_->width(), 0.0);
    rhs = ConstStates(copy.data(), rhs.shape());
  }
  ShootingRun run(*J_, settings_, direction, rhs, result);
  const ShootingRun::End end = run.solve();
  report_ = run.report();
  neighbours_ = run.traffic();
  if (end == ShootingRun::End::by_hybrid) finish(hybrid_, direction, rhs, result);
  if (end == ShootingRun::End::by_substitution) finish(substitution_, direction, rhs, result);
}

void Shooting::finish(LinearSolver& solver, Direction direction, ConstStates rhs, States result) {
  solver.setup(*J_);
  solver.solve(direction, rhs, result);
  levels_ = solver.level_traffic();
  neighbours_ += solver.neighbour_traffic();
  const CriticalPath path = solver.path(J_->layout());
  report_.method = solver.name();
  report_.path.evaluations += path.evaluations;
  report_.path.products += path.products;
  report_.residual = 0;
}

Cost Shooting::cost(const Problem& problem) const {
  Cost cost = substitution_.cost(problem);
  // Frozen steps are walked like all others.
  Problem whole = problem;
  whole.frozen = 0;
  cost.neighbours = substitution_.cost(whole).neighbours;
  const double step = 2 * static_cast<double>(problem.batch) * problem.width * problem.width;
  const Chunks chunks(problem.layout, settings_.chunks);
  if (chunks.size() <= 1) return cost;
  const double sweep = step * static_cast<double>(longest_part(problem.layout));
  cost.critical_flops = sweep + cost.sequential_flops;
  return cost;
}

CriticalPath Shooting::path(const parallel::BlockLayout& layout) const {
  return {static_cast<double>(longest_part(layout)), 0};
}

// Carries on both sides of each chunk, tangents and what GMRES keeps, up to 60 vectors of carries;
// and hybrid, should it take over.
double Shooting::memory(const Problem& problem) const {
  constexpr double kVectors = 75, kOfARank = 5;
  const Chunks chunks(problem.layout, settings_.chunks);
  Index most = 0;
  for (int p = 0; p < problem.layout.num_ranks(); ++p)
    most = std::max(most, chunks.of_rank(p).size());
  const auto rows = static_cast<double>(longest_part(problem.layout));  // a copy, in place
  const double shooting = sizeof(Real) * static_cast<double>(problem.batch) * problem.width *
                          (kVectors * static_cast<double>(most) + kOfARank + rows);
  return shooting + hybrid_.memory(problem);
}

double Shooting::largest_message(const Problem& problem) const {
  return problem.layout.num_ranks() > 1 ? static_cast<double>(problem.batch) * problem.width : 0;
}

}  // namespace deeppcr::linear
