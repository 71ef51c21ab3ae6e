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
double cost_of_tangent(const Shooting::StateSize& state) {
  constexpr int kWide = 48;
  const bool narrow = state.width < kWide;
  if (state.batch == 1) return state.tangent;
  return (narrow ? 0.25 : 0.15) / static_cast<double>(state.batch) + (narrow ? 0.05 : 0.03);
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

Shooting::Shooting(const parallel::Communicator& comm, const sequence::Sequence& sequence,
                   ShootingOptions options)
    : comm_(comm), sequence_(sequence), options_(std::move(options)) {}

parallel::BlockLayout Shooting::layout(Index num_steps, int num_ranks, Index chunks,
                                       StateSize state, linear::Passes passes) {
  if (chunks > num_ranks) return parallel::BlockLayout::balanced(num_steps, num_ranks);
  std::vector<double> share(static_cast<std::size_t>(num_ranks), 1.0);
  // Backward, where carries are forgotten, rank 0 has only zeros to write. Measured.
  constexpr double kBothPasses = 0.25;
  share.front() = 1 + (passes == linear::Passes::forward ? cost_of_tangent(state) : kBothPasses);
  return parallel::BlockLayout::by_share(num_steps, share);
}

SolveReport Shooting::solve(sequence::Trajectory& trajectory, Monitor* monitor) {
  DEEPPCR_ASSERT(trajectory.comm().get() == comm_.get(), "a trajectory of other ranks");
  return ShootingRun(sequence_, trajectory, options_, monitor).solve();
}

}  // namespace deeppcr::nonlinear
