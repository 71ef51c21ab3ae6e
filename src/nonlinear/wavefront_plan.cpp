#include "nonlinear/wavefront_plan.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"

namespace deeppcr::nonlinear {

using parallel::BlockLayout;

namespace {

constexpr Index kMostChunks = 1 << 20;

/// What a chunk begins with in steps of one layer: W_ih x and W_hh h of four gates with n = w / 2,
/// or about three with n = w.
double fixed_layer_steps(const Problem& problem) {
  const double width = static_cast<double>(problem.width) / problem.layers;
  const auto batch = static_cast<double>(std::max<Index>(1, problem.batch));
  return machine().chunk_flops / (8 * batch * width * width);
}

}  // namespace

// C + P - 1 ticks of m steps, C = L / m: a / m + (P - 1) m / L is least for m = sqrt(a L / (P -
// 1)), where a step takes as long as the fixed part of a chunk a-fold.
Index choose_chunk_steps(const Problem& problem, int stages) {
  constexpr Index kFewestRows = 2;
  const Index batch = std::max<Index>(1, problem.batch);
  const Index least = (kFewestRows + batch - 1) / batch;
  if (stages < 2) return std::max(least, problem.steps);
  const double fixed =
      fixed_layer_steps(problem) / std::ceil(static_cast<double>(problem.layers) / stages);
  const double best = std::sqrt(fixed * static_cast<double>(problem.steps) / (stages - 1));
  return std::max(least, static_cast<Index>(std::llround(best)));
}

WavefrontPlan::WavefrontPlan(const Problem& problem, Index chunk_steps)
    : steps_(problem.steps),
      ranks_(problem.ranks),
      fixed_steps_(fixed_layer_steps(problem) / problem.layers),
      layers_(BlockLayout::balanced(problem.layers, problem.ranks)) {
  if (chunk_steps > steps_)
    throw input_error(
        "--chunk-steps {}: the chain has {} steps; use shorter chunks, or leave it out",
        chunk_steps, steps_);
  const Index chunk = chunk_steps > 0 ? chunk_steps : choose_chunk_steps(problem, num_stages());
  const Index chunks = std::clamp<Index>(steps_ / chunk, 1, kMostChunks);
  chunks_ = BlockLayout::balanced(steps_, static_cast<int>(chunks));
}

double WavefrontPlan::path(double layer_steps) const {
  return layer_steps / static_cast<double>(layers_.num_steps());
}

double WavefrontPlan::path() const {
  const Index most = layers_.count(0), others = layers_.num_steps() - most;
  return path(static_cast<double>(steps_ * most + chunks_.count(0) * others));
}

double WavefrontPlan::time_share() const {
  const double in_a_row = path() + fixed_steps_ * (num_chunks() + num_stages() - 1);
  return steps_ > 0 ? in_a_row / static_cast<double>(steps_) : 1;
}

PipelineReport WavefrontPlan::report(double layer_steps) const {
  const auto idle = [this](double in_a_row) {
    return in_a_row > 0 ? 1 - static_cast<double>(steps_) / (in_a_row * ranks_) : 0;
  };
  PipelineReport report;
  report.layout = "wavefront";
  report.chunks = num_chunks();
  report.block_steps = chunks_.count(0);
  report.idle = idle(path(layer_steps));
  report.idle_by_formula = idle(path());
  return report;
}

bool promises_wavefront(const Problem& problem) {
  if (problem.ranks < 2 || problem.layers < 2) return false;
  return WavefrontPlan(problem).time_share() <= machine().worth_it;
}

}  // namespace deeppcr::nonlinear
