#include "deeppcr/nonlinear/newton.hpp"

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "newton_snes.hpp"

namespace deeppcr::nonlinear {

namespace {

WindowedOptions windowed_options(const NewtonOptions& newton) {
  WindowedOptions options;
  options.jacobian = newton.jacobian;
  options.rtol = newton.rtol;
  options.atol = newton.atol;
  options.max_iterations = newton.max_iterations;
  options.fallback = newton.fallback;
  return options;
}

linear::Problem linear_problem(const Problem& problem, const parallel::BlockLayout& layout) {
  linear::Problem one;
  one.layout = layout;
  one.batch = problem.batch;
  one.width = problem.width;
  return one;
}

}  // namespace

CriticalPath linear_path(const std::string& linear, const parallel::BlockLayout& layout) {
  for (const linear::CatalogueEntry& entry : linear::catalogue())
    if (linear == entry.name) return entry.make()->path(layout);
  return {static_cast<double>(layout.num_steps()), 0};
}

Newton::Newton(NewtonOptions options) : options_(std::move(options)) {
  if (options_.jacobian == Jacobian::dense) {
    snes_ = std::make_unique<NewtonSnes>(options_);
  } else {
    approximate_ = std::make_unique<Windowed>(windowed_options(options_));
  }
}

Newton::~Newton() = default;

SolveReport Newton::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                          Monitor* monitor) {
  if (snes_) {
    SolveReport report = snes_->solve(chain, states, monitor);
    const CriticalPath linear = linear_path(report.linear, states.layout());
    const double k = report.iterations, m = static_cast<double>(longest_range(states.layout()));
    report.path.evaluations += (k + 1) * m + k * linear.evaluations;
    report.path.products += k * linear.products;
    return report;
  }
  SolveReport report = approximate_->solve(chain, states, monitor);
  report.method = "newton";
  return report;
}

parallel::BlockLayout Newton::layout(const Problem& problem) const {
  return linear::find(options_.linear)
      .layout(problem.steps, problem.ranks, problem.width, problem.passes);
}

Cost Newton::cost(const Problem& problem, int iterations) const {
  if (approximate_) return approximate_->cost(problem, iterations);
  const parallel::BlockLayout split = layout(problem);
  const auto solver = linear::find(options_.linear).make();
  const linear::Cost once = solver->cost(linear_problem(problem, split));
  const CriticalPath path = linear_path(options_.linear, split);
  const double k = iterations, m = static_cast<double>(longest_range(split));
  // Residuals, and a tangent in the end; then the linear solves.
  const Index halos = (split.num_active_ranks() - 1) * (iterations + 2);
  Cost cost;
  cost.path = {(k + 2) * m + k * path.evaluations, k * path.products};
  cost.neighbours = {halos + iterations * once.neighbours.messages,
                     halos * problem.state_bytes() + iterations * once.neighbours.bytes};
  for (const parallel::Traffic& level : once.levels)
    cost.levels.push_back({iterations * level.messages, iterations * level.bytes});
  return cost;
}

double Newton::memory(const Problem& problem) const {
  if (approximate_) return approximate_->memory(problem);
  // Residual, update, starts, slopes, and the vectors of SNES.
  constexpr double kArrays = 9;
  const double n = problem.width, m = static_cast<double>(longest_range(layout(problem)));
  const double state = static_cast<double>(problem.state_bytes());
  const double maps = options_.linear == "pcr" ? 3 * m : 4;
  return kArrays * m * state + maps * state * (n + 1);
}

}  // namespace deeppcr::nonlinear
