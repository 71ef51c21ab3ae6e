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

/// Steps until a change of the start has shrunk to kForgotten, in the slowest chunk.
double forgetting_steps(const std::vector<ProbedChunk>& probed) {
  double most = 0;
  for (std::size_t c = 1; c < probed.size(); ++c) {
    const double rate = probed[c].exit / std::max(1.0, probed[c].probed);
    most = std::max(most, rate < 0 ? std::log(kForgotten) / rate : kInfinity);
  }
  return most;
}

/// Corrections with M = I: the neglected M - I of the chunks act like independent random maps, and
/// each correction multiplies one more of them: s^(k+1) / sqrt((k+1)!), s^2 = sum |M_c - I|^2.
double identity_corrections(const std::vector<ProbedChunk>& probed, double rtol) {
  double square = 0;
  for (std::size_t c = 1; c < probed.size(); ++c)
    square += probed[c].drift * probed[c].drift * probed[c].steps / std::max(1.0, probed[c].probed);
  const auto most = static_cast<double>(probed.size());
  double log_error = 0;
  for (double k = 0; k < most; ++k) {
    log_error += 0.5 * (std::log(square) - std::log(k + 1));
    if (!(log_error > std::log(rtol))) return std::max(k, 1.0);
  }
  return most;
}

/// Steps until starts are forgotten in all chunks, each walked again from its corrected start.
double merging(const ChunkProblem& problem, const ChunkPlan& plan) {
  const auto m = static_cast<double>(problem.longest_rank);
  const auto chunks = static_cast<double>(problem.chunks_per_rank);
  const double size = m / chunks, need = plan.forgetting_steps;
  // A start that is forgotten within a chunk costs that many steps; else whole sweeps.
  return need <= size ? chunks * need : m * std::ceil(need / size);
}

void predict_nonlinear(const ChunkProblem& problem, ChunkPlan& plan) {
  // Every sweep pushes a tangent along.
  const double sweep = 1 + problem.tangent;
  const auto m = sweep * static_cast<double>(problem.longest_rank);
  plan.cost(Method::zero) = m + sweep * merging(problem, plan);
  plan.cost(Method::identity) = m * (1 + plan.identity_sweeps);
  // n columns cost this many evaluations.
  const double columns =
      std::max(1.0, problem.width * product_weight(problem.batch, problem.width));
  const double levels = parallel::ceil_log2(problem.chunks) * columns;
  plan.cost(Method::dense) = m + machine().dense_corrections * (m * (2 + columns) + levels);
  if (problem.newton)
    plan.cost(Method::newton) = machine().newton_iterations * (m * (2 + columns) + levels);
}

/// Tangents cost a walk of their own, but where nothing is left of a carry at a chunk's end.
void predict_linear(const ChunkProblem& problem, ChunkPlan& plan) {
  const auto m = static_cast<double>(problem.longest_rank);
  const double size = m / static_cast<double>(problem.chunks_per_rank);
  const double tangents = size > kUntilZero * plan.forgetting_steps ? 0 : m;
  plan.cost(Method::zero) = m + tangents + merging(problem, plan);
  // The first walk, one for each vector, and one from the carries that they give.
  plan.cost(Method::identity) = m * (2 + plan.identity_sweeps) + tangents;
  plan.cost(Method::dense) = problem.hybrid;
}

}  // namespace

// With few samples an evaluation is a matrix-vector product, with many a product itself.
double product_weight(Index batch, int width) {
  constexpr Index kMany = 8;
  return batch >= kMany ? 1 : machine().product_flop_ratio(width);
}

ChunkPlan choose_for_chunks(const std::vector<ProbedChunk>& probed, const ChunkProblem& problem) {
  ChunkPlan plan;
  plan.forgetting_steps = forgetting_steps(probed);
  plan.identity_sweeps = identity_corrections(probed, problem.rtol);
  plan.costs.fill(kInfinity);
  plan.cost(Method::sequential) = static_cast<double>(problem.steps);
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

ChunkPlan best_case(const ChunkProblem& problem) {
  ProbedChunk forgetful;
  forgetful.steps = forgetful.probed = 1;
  forgetful.exit = -kInfinity;
  return choose_for_chunks(
      std::vector<ProbedChunk>(static_cast<std::size_t>(problem.chunks), forgetful), problem);
}

std::string explain(const ChunkPlan& plan, const ChunkProblem& problem) {
  const auto steps = [](double value) {
    return std::isfinite(value) ? fmt::format("{:.0f}", value) : std::string("no");
  };
  std::string text =
      std::isfinite(plan.forgetting_steps)
          ? fmt::format("a start is forgotten in about {} steps", steps(plan.forgetting_steps))
          : std::string("a start is not forgotten");
  const char* before = "; steps in a row predicted: ";
  const char* names[] = {"sequential", "zero", "identity", "dense", "newton"};
  for (std::size_t i = 0; i < (problem.newton ? 5 : 4); ++i, before = ", ")
    text += fmt::format("{}{} {}", before, names[i], steps(plan.costs[i]));
  return text;
}

}  // namespace deeppcr::plan
