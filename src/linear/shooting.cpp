#include "deeppcr/linear/shooting.hpp"

#include <algorithm>

#include "deeppcr/linear/catalogue.hpp"
#include "shooting_run.hpp"

namespace deeppcr::linear {

Shooting::Shooting(ShootingOptions options) : options_(options) {}
Shooting::~Shooting() = default;

void Shooting::setup(const blocks::BlockBidiagonal& J) { J_ = &J; }

void Shooting::solve(ConstStates r, States d) { walk(Direction::forward, r, d); }
void Shooting::solve_transpose(ConstStates c, States g) { walk(Direction::backward, c, g); }

void Shooting::walk(Direction direction, ConstStates rhs, States result) {
  const StageTimer timer(stages_, "substitute");
  // The right-hand side is read again for each sweep.
  Buffer<Real> copy;
  if (rhs.data() == result.data()) {
    copy.reset(rhs.size());
    std::copy(rhs.begin(), rhs.end(), copy.begin());
    rhs = ConstStates(copy.data(), rhs.shape());
  }
  levels_.clear();
  ShootingRun run(*J_, options_, direction, rhs, result);
  const bool right = run.solve();
  report_ = run.report();
  neighbours_ = run.traffic();
  if (right) return;
  const auto substitution = find("sequential").make();
  substitution->setup(*J_);
  if (direction == Direction::forward) {
    substitution->solve(rhs, result);
  } else {
    substitution->solve_transpose(rhs, result);
  }
  neighbours_ += substitution->neighbour_traffic();
  report_.method = "sequential";
  report_.path.evaluations += static_cast<double>(J_->layout().num_steps());
  report_.residual = 0;
}

Cost Shooting::cost(const Problem& problem) const {
  Cost cost = find("sequential").make()->cost(problem);
  const Index chunks = options_.chunks > 0 ? options_.chunks : problem.layout.num_active_ranks();
  cost.critical_flops /= static_cast<double>(std::max<Index>(1, chunks));
  return cost;
}

}  // namespace deeppcr::linear
