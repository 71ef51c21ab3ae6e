#include "deeppcr/nonlinear/shooting.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "shooting_run.hpp"

namespace deeppcr::nonlinear {

namespace {

const std::vector<std::string> kCouplings{"zero", "identity", "first-order", "dense", "auto"};
const std::vector<std::string> kAccelerations{"none", "anderson", "ngmres"};

std::size_t position(const std::vector<std::string>& names, const std::string& name,
                     const char* what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw input_error("unknown {} '{}'; known: {}", what, name, fmt::join(names, ", "));
  return static_cast<std::size_t>(found - names.begin());
}

/// What pushing a tangent along takes of a step: of several samples' it is one column more.
/// Measured.
double cost_of_tangent(const Problem& problem) {
  constexpr int kWide = 48;
  const bool narrow = problem.width < kWide;
  if (problem.batch == 1) return problem.tangent;
  return (narrow ? 0.25 : 0.15) / static_cast<double>(problem.batch) + (narrow ? 0.05 : 0.03);
}

}  // namespace

const char* to_string(Coupling coupling) {
  return kCouplings[static_cast<std::size_t>(coupling)].c_str();
}
Coupling coupling_from(const std::string& name) {
  return static_cast<Coupling>(position(kCouplings, name, "coupling"));
}
const std::vector<std::string>& coupling_names() { return kCouplings; }

Acceleration acceleration_from(const std::string& name) {
  return static_cast<Acceleration>(position(kAccelerations, name, "acceleration"));
}
const std::vector<std::string>& acceleration_names() { return kAccelerations; }

parallel::BlockLayout Shooting::layout(const Problem& problem) const {
  if (options_.chunks > problem.ranks) return Solver::layout(problem);
  std::vector<double> share(static_cast<std::size_t>(problem.ranks), 1.0);
  // Backward, where carries are forgotten, rank 0 has only zeros to write. Measured.
  constexpr double kBothPasses = 0.25;
  const bool forward = problem.passes == linear::Passes::forward;
  share.front() = 1 + (forward ? cost_of_tangent(problem) : kBothPasses);
  return parallel::BlockLayout::by_share(problem.steps, share);
}

SolveReport Shooting::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                            Monitor* monitor) {
  return ShootingRun(chain, states, options_, monitor).solve();
}

Cost Shooting::cost(const Problem& problem, int iterations) const {
  const parallel::BlockLayout split = layout(problem);
  const Chunks chunks(split, options_.chunks);
  const Index hops = std::max(0, chunks.owners().num_active_ranks() - 1);
  Cost cost;
  // All of each chunk, again in each correction: where starts are forgotten, only its first steps.
  cost.path.evaluations = static_cast<double>(longest_range(split)) +
                          iterations * static_cast<double>(chunks.longest());
  // The guess and each correction; the ends once more where they were not swept from as they are.
  cost.neighbours = {hops * (iterations + 2), hops * (iterations + 2) * problem.state_bytes()};
  return cost;
}

double Shooting::memory(const Problem& problem) const {
  // Sweeps go on in place; with whole Jacobians the slopes of a chunk are held, and a map of each.
  const Chunks chunks(layout(problem), options_.chunks);
  const double state = static_cast<double>(problem.state_bytes()), n = problem.width;
  const auto longest = static_cast<double>(chunks.longest());
  return state * (3 * longest + 2 * (n + 1) * static_cast<double>(chunks.size()));
}

Index Shooting::most_iterations(const Problem& problem) const {
  return options_.max_sweeps > 0 ? options_.max_sweeps
                                 : std::max<Index>(options_.chunks, problem.ranks);
}

}  // namespace deeppcr::nonlinear
