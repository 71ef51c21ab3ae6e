#include <algorithm>

#include "app/generate.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/plan/sampling.hpp"

namespace deeppcr::app {
namespace {

/// Seconds of a few steps one after another, samples split over the ranks, for each step.
double seconds_of_step(const parallel::Communicator& comm, const models::DenoisingChain& chain,
                       States states) {
  constexpr Index kFirst = 2, kSteps = 8;
  const Index steps = std::min(kSteps, chain.num_steps());
  const auto walk = [&](Index count) {
    return nonlinear::propagate_samples(comm, chain, states.slice(0, count + 1));
  };
  walk(std::min(kFirst, steps));  // fills caches
  return walk(steps) / static_cast<double>(steps);
}

/// Seconds of a sweep over a full window.
double seconds_of_sweep(const models::DenoisingChain& chain, const GenerateConfig& config,
                        sequence::Trajectory& trajectory) {
  nonlinear::WindowedOptions options = config.solver;
  options.fallback = false;
  options.max_iterations = 1;
  fill_guess(chain, config.guess, trajectory.whole());
  nonlinear::Windowed(options).solve(chain, trajectory);  // fills caches
  options.max_iterations = 2;
  const auto report = nonlinear::Windowed(options).solve(chain, trajectory);
  return report.seconds.at("total") / static_cast<double>(std::max<Index>(1, report.iterations));
}

}  // namespace

std::string choose_method(const models::DenoisingChain& chain, sequence::Trajectory& trajectory,
                          GenerateConfig& config) {
  config.method = closed_method(true);
  plan::SamplingProblem problem;
  problem.steps = chain.num_steps();
  problem.window = config.solver.window;
  problem.tolerance = config.solver.atol;
  problem.eta = config.sampler.eta;
  problem.seconds_of_step = seconds_of_step(trajectory.comm(), chain, trajectory.whole());
  problem.seconds_of_sweep = seconds_of_sweep(chain, config, trajectory);
  const plan::SamplingChoice choice = plan::choose_sampling(problem);
  if (!choice.sweeps) config.method = closed_method(false);
  return choice.why;
}

}  // namespace deeppcr::app
