#include <algorithm>
#include <cmath>

#include "deeppcr/app/generate.hpp"
#include "deeppcr/core/profile.hpp"

namespace deeppcr::app {
namespace {

/// Seconds of a few steps one after another, samples split over the ranks, for each step.
double seconds_of_step(const parallel::Communicator& comm, const models::DenoisingChain& chain,
                       States states) {
  constexpr Index kFirst = 2, kSteps = 8;
  const Index steps = std::min(kSteps, chain.num_steps());
  sample_sequentially(comm, chain, states.slice(0, std::min(kFirst, steps) + 1));  // fills caches
  return sample_sequentially(comm, chain, states.slice(0, steps + 1)) / static_cast<double>(steps);
}

/// Seconds of a sweep over a full window.
double seconds_of_sweep(const parallel::Communicator& comm, const models::DenoisingChain& chain,
                        const GenerateConfig& config, States states) {
  nonlinear::WindowedOptions options = config.solver;
  options.fallback = false;
  options.max_iterations = 1;
  fill_guess(chain, config.guess, states);
  nonlinear::Windowed(options).solve_shared(comm, chain, states);  // fills caches
  options.max_iterations = 2;
  const auto report = nonlinear::Windowed(options).solve_shared(comm, chain, states);
  return report.seconds.at("total") / static_cast<double>(std::max<Index>(1, report.iterations));
}

/// Evaluations of a step until it is at the tolerance: a fit to what `bench --suite generate` found
/// for windows of 4 to 48 steps, tolerances 1e-2 to 2.5e-7 and both samplers, right to 0.2.
double evaluations_of_step(double tolerance, double eta, double window) {
  const double digits = std::max(0.0, std::log10(1e-2 / tolerance));
  const double wide = std::max(0.0, std::log2(window / 4));
  return std::max(1.0, 0.75 + 0.35 * eta + 0.17 * wide + 0.65 * std::sqrt(digits));
}

}  // namespace

std::string choose_method(const parallel::Communicator& comm, const models::DenoisingChain& chain,
                          States states, GenerateConfig& config) {
  config.method = "gaussian";
  const Index steps = chain.num_steps();
  const auto L = static_cast<double>(steps);
  const Index most = config.solver.window;
  const auto window = static_cast<double>(most == 0 ? steps : std::min(most, steps));
  const double sweeps =
      evaluations_of_step(config.solver.atol, config.sampler.eta, window) * L / window;
  const double one_by_one = L * seconds_of_step(comm, chain, states);
  const double by_sweeps = sweeps * seconds_of_sweep(comm, chain, config, states);
  if (one_by_one < by_sweeps) config.method = "sequential";
  return fmt::format("measured: about {:.2g} s by sweeps, {:.2g} s one step after another",
                     by_sweeps, one_by_one);
}

}  // namespace deeppcr::app
