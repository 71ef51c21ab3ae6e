#include "deeppcr/plan/sampling.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "deeppcr/core/machine.hpp"

namespace deeppcr::plan {

SamplingChoice choose_sampling(const SamplingProblem& problem) {
  const auto L = static_cast<double>(problem.steps);
  const auto window = static_cast<double>(
      problem.window == 0 ? problem.steps : std::min(problem.window, problem.steps));
  const double sweeps =
      machine().evaluations_of_denoising(problem.tolerance, problem.eta, window) * L / window;
  const double one_by_one = L * problem.seconds_of_step;
  const double by_sweeps = sweeps * problem.seconds_of_sweep;
  return {one_by_one >= by_sweeps,
          fmt::format("measured: about {:.2g} s by sweeps, {:.2g} s one step after another",
                      by_sweeps, one_by_one)};
}

Index filling_window(int ranks, Index samples) {
  constexpr Index kRows = 24, kLeast = 4;
  return std::max(kLeast * ranks, kRows * ranks / samples);
}

}  // namespace deeppcr::plan
