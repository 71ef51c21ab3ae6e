#include <algorithm>

#include "app/generate.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/plan/ways.hpp"

namespace deeppcr::app {
namespace {

/// How many sweeps published networks need is tried where their steps are many enough to pay for
/// it.
constexpr Index kTriedSteps = 400;
/// Evaluations of a step where it is not tried: measured 2.3 to 3 for 50 steps at 1e-2.
constexpr double kUntried = 2.6;

/// Seconds of a few steps one after another, samples split over the ranks, for each step.
double seconds_of_step(const parallel::Communicator& comm, const models::SamplerChain& chain,
                       States states) {
  constexpr Index kFirst = 2, kSteps = 8;
  const Index steps = std::min(kSteps, chain.num_steps());
  const auto walk = [&](Index count) {
    return nonlinear::propagate_samples(comm, chain, states.slice(0, count + 1));
  };
  walk(std::min(kFirst, steps));  // fills caches
  return walk(steps) / static_cast<double>(steps);
}

/// What the first sweeps over a full window have shown.
struct Trial {
  double seconds_of_sweep = 0;
  double steps_a_sweep = 0;  ///< that came to be right
};

Trial try_sweeps(const models::SamplerChain& chain, const GenerateConfig& config, int sweeps,
                 sequence::Trajectory& trajectory) {
  nonlinear::WindowedOptions options = config.solver;
  options.fallback = false;
  options.max_iterations = 1;
  fill_guess(chain, trajectory, config.guess);
  nonlinear::Windowed(options).solve(chain, trajectory);  // fills caches
  options.max_iterations = sweeps;
  const auto report = nonlinear::Windowed(options).solve(chain, trajectory);
  const auto done = static_cast<double>(std::max<Index>(1, report.iterations));
  return {report.seconds.at("total") / done, static_cast<double>(report.frozen_prefix) / done};
}

}  // namespace

std::string choose_method(const models::SamplerChain& chain, sequence::Trajectory& trajectory,
                          GenerateConfig& config) {
  constexpr int kSweeps = 2, kTriedSweeps = 6;
  const bool published = !config.published.sampler_config.empty();
  const Index window = config.solver.window;
  config.method = closed_method(true);
  plan::SamplingProblem problem;
  problem.steps = chain.num_steps();
  problem.window = window;
  problem.tolerance = config.solver.tolerance.atol;
  problem.eta = config.sampler.eta;
  problem.seconds_of_step = seconds_of_step(trajectory.comm(), chain, trajectory.whole());
  const bool tried = published && problem.steps >= kTriedSteps;
  const Trial trial = try_sweeps(chain, config, tried ? kTriedSweeps : kSweeps, trajectory);
  problem.seconds_of_sweep = trial.seconds_of_sweep;
  const auto swept = static_cast<double>(window == 0 ? problem.steps : window);
  if (tried) problem.evaluations = swept / std::max(trial.steps_a_sweep, 1e-3);
  if (published && !tried) problem.evaluations = kUntried;
  const plan::SamplingChoice choice = plan::choose_sampling(problem);
  if (!choice.sweeps) config.method = closed_method(false);
  return choice.why;
}

}  // namespace deeppcr::app
