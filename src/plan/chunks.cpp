#include "deeppcr/plan/chunks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::plan {

namespace {

using Method = ChunkPlan::Method;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Two starts count as one when this much is left of their difference.
constexpr double kForgotten = 1e-14;

/// Corrections with M = I: the neglected M - I of the chunks act like independent random maps, and
/// each correction multiplies one more of them: s^(k+1) / sqrt((k+1)!), s^2 = sum |M_c - I|^2. More
/// than there are chunks tell nothing new. What is judged is a bound of the error, some four times
/// as large: 3 to 11 corrections of resnets on 16 to 1024 ranks are right to one.
double identity_corrections(const Probe& probe, Index chunks, double rtol) {
  constexpr double kBound = 4;
  const auto enough = [&](Index k) {
    const auto factors = static_cast<double>(k + 1);
    const double log_error =
        0.5 * (factors * std::log(probe.drift_square) - std::lgamma(factors + 1));
    return !(log_error > std::log(rtol / kBound));
  };
  if (chunks <= 1 || enough(0)) return static_cast<double>(std::min<Index>(chunks, 1));
  // The error rises at first, and falls for ever behind that.
  Index too_few = 0, most = chunks;
  while (most - too_few > 1) {
    const Index middle = too_few + (most - too_few) / 2;
    (enough(middle) ? most : too_few) = middle;
  }
  return static_cast<double>(most);
}

/// Steps until starts are forgotten in all chunks, each walked again from its corrected start.
double merging(const ChunkProblem& problem, const ChunkPlan& plan) {
  const auto m = static_cast<double>(problem.longest_rank);
  const auto chunks = static_cast<double>(problem.chunks_per_rank);
  const double size = m / chunks, need = plan.forgetting_steps;
  // A start that is forgotten within a chunk costs that many steps; else whole sweeps.
  return need <= size ? chunks * need : m * std::ceil(need / size);
}

/// Rounds of corrections until starts are forgotten, each waited for by all.
double rounds_of_merging(const ChunkProblem& problem, const ChunkPlan& plan) {
  const double size =
      static_cast<double>(problem.longest_rank) / static_cast<double>(problem.chunks_per_rank);
  return std::clamp(std::ceil(plan.forgetting_steps / size), 1.0,
                    std::max(1.0, static_cast<double>(problem.chunks)));
}

void predict_nonlinear(const ChunkProblem& problem, ChunkPlan& plan) {
  const Waits& waits = problem.waits;
  const double round = waits.message + waits.judgement;
  // The look, and what is added up in the end.
  const double once = waits.message + 2 * waits.reduction;
  // Every sweep pushes a tangent along.
  const double sweep = 1 + problem.tangent;
  const auto m = sweep * static_cast<double>(problem.longest_rank);
  plan.cost(Method::zero) =
      once + m + sweep * merging(problem, plan) + rounds_of_merging(problem, plan) * round;
  plan.cost(Method::identity) =
      once + m * (1 + plan.identity_sweeps) + plan.identity_sweeps * (round + waits.states);
  // n columns cost this many evaluations.
  const double columns =
      std::max(1.0, problem.width * product_weight(problem.batch, problem.width));
  const double levels = parallel::ceil_log2(problem.chunks) * columns;
  const double whole = m * (2 + columns) + levels + round + waits.maps;
  plan.cost(Method::dense) = once + m + machine().dense_corrections * whole;
  // PETSc's norms are a reduction more.
  if (problem.newton)
    plan.cost(Method::newton) = once + machine().newton_iterations * (whole + waits.reduction);
}

/// Tangents cost a walk of their own, but where nothing is left of a carry at a chunk's end. The
/// look is paid for already, and the end costs all the same.
void predict_linear(const ChunkProblem& problem, ChunkPlan& plan) {
  const Waits& waits = problem.waits;
  const auto m = static_cast<double>(problem.longest_rank);
  const double size = m / static_cast<double>(problem.chunks_per_rank);
  const double tangents =
      size > kUntilZero * plan.forgetting_steps ? 0 : machine().tangent_walk * m;
  const double once = waits.reduction;  // the largest entry
  plan.cost(Method::zero) = once + m + tangents + merging(problem, plan) +
                            rounds_of_merging(problem, plan) * (waits.message + waits.judgement);
  // The first walk, one for each vector, and one from the carries that they give.
  plan.cost(Method::identity) =
      once + m * (2 + plan.identity_sweeps) + tangents + waits.judgement +
      (1 + plan.identity_sweeps) * (waits.message + waits.states + waits.judgement);
  plan.cost(Method::dense) = problem.hybrid;
}

}  // namespace

// With few samples an evaluation is a matrix-vector product, with many a product itself and the
// functions of its results.
double product_weight(Index batch, int width) {
  constexpr Index kMany = 8;
  const KernelSeconds& kernels = machine().kernels;
  return batch >= kMany ? kernels.product(width, width, batch) / kernels.layer(width, batch)
                        : machine().product_flop_ratio(width);
}

void Probe::add(const ProbedChunk& chunk) {
  const double probed = std::max(1.0, chunk.probed), rate = chunk.exit / probed;
  forgetting_steps = std::max(forgetting_steps, rate < 0 ? std::log(kForgotten) / rate : kInfinity);
  drift_square += chunk.drift * chunk.drift * chunk.steps / probed;
}

ChunkPlan choose_for_chunks(const Probe& probe, const ChunkProblem& problem) {
  ChunkPlan plan;
  plan.forgetting_steps = probe.forgetting_steps;
  plan.identity_sweeps = identity_corrections(probe, problem.chunks, problem.rtol);
  plan.costs.fill(kInfinity);
  plan.cost(Method::sequential) =
      problem.wavefront > 0
          ? problem.wavefront
          : static_cast<double>(problem.steps) + (problem.ranks - 1) * problem.waits.message;
  if (problem.linear) {
    predict_linear(problem, plan);
  } else {
    predict_nonlinear(problem, plan);
  }
  double best =
      problem.may_substitute ? machine().worth_it * plan.cost(Method::sequential) : kInfinity;
  if (!problem.may_substitute) plan.method = Method::identity;
  for (const Method method : {Method::zero, Method::identity, Method::dense, Method::newton}) {
    const bool other = problem.linear && method == Method::dense;
    if (plan.cost(method) >= best || (other && !problem.may_substitute)) continue;
    best = plan.cost(method);
    plan.method = method;
  }
  return plan;
}

ChunkPlan best_case(const ChunkProblem& problem) { return choose_for_chunks({}, problem); }

std::string explain(const ChunkPlan& plan, const ChunkProblem& problem) {
  const auto steps = [](double value) {
    return std::isfinite(value) ? fmt::format("{:.0f}", value) : std::string("no");
  };
  std::string text =
      std::isfinite(plan.forgetting_steps)
          ? fmt::format("a start is forgotten in about {} steps", steps(plan.forgetting_steps))
          : std::string("a start is not forgotten");
  const char* before = "; steps in a row predicted: ";
  const char* names[] = {problem.wavefront > 0 ? "wavefront" : "sequential", "zero", "identity",
                         "dense", "newton"};
  for (std::size_t i = 0; i < (problem.newton ? 5 : 4); ++i, before = ", ")
    text += fmt::format("{}{} {}", before, names[i], steps(plan.costs[i]));
  return text;
}

}  // namespace deeppcr::plan
