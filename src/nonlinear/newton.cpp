#include "deeppcr/nonlinear/newton.hpp"

#include <algorithm>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "nonlinear/newton_snes.hpp"

namespace deeppcr::nonlinear {

namespace {

linear::Cost linear_cost(const NewtonOptions& options, const Problem& problem,
                         const parallel::BlockLayout& layout) {
  return linear::find(options.linear).make()->cost({layout, problem.batch, problem.width});
}

}  // namespace

Newton::Newton(NewtonOptions options)
    : options_(std::move(options)), snes_(std::make_unique<NewtonSnes>(options_)) {}

Newton::~Newton() = default;

SolveReport Newton::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                          const Monitors& monitors) {
  const petsc::LogEvent event("nonlinear.newton");
  SolveReport report = snes_->solve(chain, states, monitors);
  report.path.evaluations +=
      (report.iterations + 1) * static_cast<double>(states.layout().longest());
  return report;
}

parallel::BlockLayout Newton::layout(const Problem& problem) const {
  return linear::find(options_.linear)
      .layout(problem.steps, problem.ranks, problem.width, problem.passes);
}

Cost Newton::cost(const Problem& problem, const Effort& effort) const {
  const int iterations = effort.iterations;
  const parallel::BlockLayout split = layout(problem);
  const linear::Cost once = linear_cost(options_, problem, split);
  const double k = iterations, m = static_cast<double>(split.longest());
  // Residuals, and a tangent for each look; then the linear solves.
  const Index halos = std::max(0, split.num_active_ranks() - 1) * (iterations + 1 + effort.looks);
  Cost cost;
  cost.path = {(k + 1 + effort.looks) * m + k * once.path.evaluations, k * once.path.products};
  cost.neighbours = {halos + iterations * once.neighbours.messages,
                     halos * problem.state_bytes() + iterations * once.neighbours.bytes};
  // PETSc's norms and ours; a scan of the largest state so far, of a look two and a reduction.
  cost.network =
      Rounds{k + 1 + effort.looks, k + 1 + 2.0 * effort.looks, 2 * k + 3 + effort.looks}.seconds(
          problem) +
      k * once.network;
  for (const parallel::Traffic& level : once.levels)
    cost.levels.push_back({iterations * level.messages, iterations * level.bytes});
  return cost;
}

std::vector<std::string> Newton::stages() const { return NewtonSnes::stages(); }

double Newton::largest_message(const Problem& problem) const {
  return linear_cost(options_, problem, layout(problem)).largest_message;
}

double Newton::memory(const Problem& problem) const {
  // Residual, update, starts, slopes, and the vectors of SNES.
  constexpr double kArrays = 9;
  const parallel::BlockLayout split = layout(problem);
  const double states =
      static_cast<double>(split.longest()) * static_cast<double>(problem.state_bytes());
  return kArrays * states + linear_cost(options_, problem, split).memory;
}

}  // namespace deeppcr::nonlinear
