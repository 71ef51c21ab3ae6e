#include "linear/shooting.hpp"

#include <algorithm>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/linear/chunk_facts.hpp"
#include "linear/shooting_run.hpp"

namespace deeppcr::linear {

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
  // Carries on both sides of each chunk, tangents and what GMRES keeps, up to 60 vectors of
  // carries; a copy of the right-hand side; and hybrid, should it take over.
  constexpr Index kVectors = 75, kOfARank = 5;
  const Chunks chunks(problem.layout, settings_.chunks);
  const Index most = problem.layout.longest(), carries = chunks.owners().longest();
  Problem whole = problem;  // frozen steps are walked like all others
  whole.frozen = 0;
  Cost cost = substitution_.cost(whole);
  cost.critical_flops = problem.flops(problem.active_steps());
  if (chunks.size() > 1) cost.critical_flops += problem.flops(most);
  cost.path.evaluations = static_cast<double>(most);
  // A look, the largest entry, a judgement.
  const int ranks = problem.layout.num_ranks();
  cost.network =
      3 * machine().network.reduction(ranks) + machine().network.scan(kJudgementBytes, ranks);
  cost.memory =
      static_cast<double>(problem.state_bytes() * (kVectors * carries + kOfARank + most)) +
      hybrid_.cost(problem).memory;
  return cost;
}

}  // namespace deeppcr::linear
