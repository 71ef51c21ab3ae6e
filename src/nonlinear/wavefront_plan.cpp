#include "nonlinear/wavefront_plan.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/machine.hpp"

namespace deeppcr::nonlinear {

using parallel::BlockLayout;

namespace {

constexpr Index kMostChunks = 1 << 20;

}  // namespace

// C + P - 1 ticks of m steps, C = L / m: a / m + (P - 1) m / L is least for m = sqrt(a L / (P -
// 1)), where a step takes as long as the fixed part of a chunk a-fold.
Index choose_chunk_steps(const Problem& problem, int stages) {
  constexpr Index kFewestRows = 8;
  const Index least = (kFewestRows + problem.batch - 1) / problem.batch;
  if (stages < 2) return std::max(least, problem.steps);
  const double width = static_cast<double>(problem.width) / problem.layers;
  const double a_rank = std::ceil(static_cast<double>(problem.layers) / stages);
  // W_ih x and W_hh h of four gates with n = w / 2, or about three with n = w
  const double step_flops = 8 * a_rank * static_cast<double>(problem.batch) * width * width;
  const double fixed = machine().chunk_flops / step_flops;
  const double best = std::sqrt(fixed * static_cast<double>(problem.steps) / (stages - 1));
  return std::max(least, static_cast<Index>(std::llround(best)));
}

WavefrontPlan::WavefrontPlan(const Problem& problem, Index chunk_steps)
    : steps_(problem.steps),
      ranks_(problem.ranks),
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

}  // namespace deeppcr::nonlinear
