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
  nonlinear::Windowed(comm, chain, options).solve_shared(states);  // fills caches
  options.max_iterations = 2;
  const auto report = nonlinear::Windowed(comm, chain, options).solve_shared(states);
  return report.seconds.at("total") / static_cast<double>(std::max<Index>(1, report.iterations));
}

/// Evaluations of a step until it is at the tolerance, as measured with the networks that come with
/// the program.
double evaluations_of_step(double tolerance, int ranks) {
  return std::max(1.1, 1.5 + 0.3 * std::log2(ranks) + 0.4 * std::log10(1e-2 / tolerance));
}

}  // namespace

std::string choose_method(const parallel::Communicator& comm, const models::DenoisingChain& chain,
                          States states, GenerateConfig& config) {
  config.method = "gaussian";
  const auto L = static_cast<double>(chain.num_steps());
  const Index window = config.solver.window == 0 ? chain.num_steps() : config.solver.window;
  const double sweeps = evaluations_of_step(config.solver.atol, comm.size()) * L /
                        static_cast<double>(std::min(window, chain.num_steps()));
  const double one_by_one = L * seconds_of_step(comm, chain, states);
  const double by_sweeps = sweeps * seconds_of_sweep(comm, chain, config, states);
  if (one_by_one < by_sweeps) config.method = "sequential";
  return fmt::format("measured: about {:.2g} s by sweeps, {:.2g} s one step after another",
                     by_sweeps, one_by_one);
}

}  // namespace deeppcr::app
