#include <algorithm>
#include <cmath>

#include "deeppcr/app/generate.hpp"
#include "deeppcr/core/profile.hpp"

namespace deeppcr::app {
namespace {

/// Seconds of a few steps one after another, samples split over the ranks, for each step.
double seconds_of_step(const parallel::Communicator& comm, const models::Denoiser& denoiser,
                       const GenerateConfig& config, const models::DenoisingChain& chain) {
  constexpr Index kSteps = 16;
  const Index steps = std::min(kSteps, chain.num_steps());
  Buffer<Real> values((steps + 1) * chain.batch() * chain.width());
  const States states(values.data(), {steps + 1, chain.batch(), chain.width()});
  chain.start(states[0]);
  sample_sequentially(comm, denoiser, config.sampler, states);  // touches memory
  return sample_sequentially(comm, denoiser, config.sampler, states) / static_cast<double>(steps);
}

/// Seconds of a sweep over a full window.
double seconds_of_sweep(const parallel::Communicator& comm, const models::DenoisingChain& chain,
                        const GenerateConfig& config, States states) {
  nonlinear::WindowedOptions options = config.solver;
  options.fallback = false;
  options.max_iterations = 1;
  fill_guess(chain, config.guess, states);
  nonlinear::Windowed(comm, chain, options).solve_shared(states);  // touches memory
  options.max_iterations = 4;
  const auto report = nonlinear::Windowed(comm, chain, options).solve_shared(states);
  return report.seconds.at("total") / static_cast<double>(std::max<Index>(1, report.iterations));
}

/// Evaluations of a step until it is at the tolerance, as measured with the networks that come with
/// the program.
double evaluations_of_step(double tolerance, int ranks) {
  return std::max(1.1, 1.5 + 0.3 * std::log2(ranks) + 0.4 * std::log10(1e-2 / tolerance));
}

}  // namespace

std::string choose_method(const parallel::Communicator& comm, const models::Denoiser& denoiser,
                          const models::DenoisingChain& chain, States states,
                          GenerateConfig& config) {
  config.method = "gaussian";
  const auto L = static_cast<double>(chain.num_steps());
  const Index window = config.solver.window == 0 ? chain.num_steps() : config.solver.window;
  const double sweeps = evaluations_of_step(config.solver.atol, comm.size()) * L /
                        static_cast<double>(std::min(window, chain.num_steps()));
  const double one_by_one = L * seconds_of_step(comm, denoiser, config, chain);
  const double by_sweeps = sweeps * seconds_of_sweep(comm, chain, config, states);
  if (one_by_one < by_sweeps) config.method = "sequential";
  return fmt::format("measured: about {:.2g} s by sweeps, {:.2g} s one step after another",
                     by_sweeps, one_by_one);
}

}  // namespace deeppcr::app
