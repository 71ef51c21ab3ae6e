#include "deeppcr/plan/ways.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"

namespace deeppcr::plan {

namespace {

void check(Grid wanted, int ranks, long long batch) {
  const int D = wanted.depth, R = wanted.data;
  if (D > 0 && R > 0 && D * R != ranks) {
    throw input_error(
        "--depth-ranks {} x --data-ranks {} = {}, but there are {} ranks; leave one of them out", D,
        R, D * R, ranks);
  }
  for (const int given : {D, R}) {
    if (given > 0 && ranks % given != 0) {
      throw input_error("--{} {}: {} ranks cannot be divided by it",
                        given == D ? "depth-ranks" : "data-ranks", given, ranks);
    }
  }
  const int data = R > 0 ? R : (D > 0 ? ranks / D : 1);
  if (batch < data) {
    throw input_error(
        "--batch {}: fewer samples than the {} data ranks; use a larger --batch or "
        "more --depth-ranks",
        batch, data);
  }
}

const Way& cheapest(const std::vector<Way>& ways) {
  return *std::min_element(ways.begin(), ways.end(),
                           [](const Way& a, const Way& b) { return a.cost < b.cost; });
}

std::string words(const Way& way) {
  return fmt::format("{} on {} depth x {} data ranks", way.method, way.grid.depth, way.grid.data);
}

/// What `best` was chosen from, with the next one of other words or another grid.
std::string choice_of(const Way& best, const std::vector<Way>& ways) {
  std::vector<Way> others;
  for (const Way& way : ways) {
    const bool same = way.method == best.method && way.grid.depth == best.grid.depth;
    if (!same) others.push_back(way);
  }
  if (others.empty()) return "";
  const Way& next = cheapest(others);
  return fmt::format("cheapest of {} ways by the cost formulas; next: {}, {:.3g} times the cost",
                     ways.size(), words(next), next.cost / best.cost);
}

}  // namespace

std::vector<Grid> possible_grids(Grid wanted, int ranks, long long batch) {
  check(wanted, ranks, batch);
  std::vector<Grid> grids;
  for (int D = 1; D <= ranks; ++D) {
    const int R = ranks / D;
    const bool fits = ranks % D == 0 && (wanted.depth == 0 || wanted.depth == D) &&
                      (wanted.data == 0 || wanted.data == R) && batch >= R;
    if (fits) grids.push_back({D, R});
  }
  return grids;
}

Sharing choose_sharing(const std::vector<Way>& asked, const std::vector<Way>& possible) {
  constexpr double kWorthSaying = 1.05;
  const Way& best = cheapest(possible);
  Sharing chosen{cheapest(asked), "", ""};
  chosen.choice = choice_of(chosen.way, asked);
  const double gain = chosen.way.cost / best.cost;
  if (gain <= kWorthSaying) return chosen;
  const bool waits = chosen.way.in_a_row && chosen.way.grid.depth > 1;
  chosen.advice = fmt::format(
      "by the cost formulas {} would be about {:.1f} times faster for this size{}", words(best),
      gain,
      waits ? ": steps one after another do not gain from depth ranks, which wait for each other"
            : "");
  return chosen;
}

SamplingChoice choose_sampling(const SamplingProblem& problem) {
  const auto L = static_cast<double>(problem.steps);
  const auto window = static_cast<double>(
      problem.window == 0 ? problem.steps : std::min(problem.window, problem.steps));
  const double evaluations = problem.evaluations > 0 ? problem.evaluations
                                                     : machine().evaluations_of_denoising(
                                                           problem.tolerance, problem.eta, window);
  const double sweeps = evaluations * L / window;
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
