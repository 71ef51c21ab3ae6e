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

double at(const double (&cost)[5], Method method) { return cost[static_cast<int>(method)]; }
double& at(double (&cost)[5], Method method) { return cost[static_cast<int>(method)]; }

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
  const auto m = static_cast<double>(problem.longest_rank);
  at(plan.cost, Method::zero) = m + merging(problem, plan);
  at(plan.cost, Method::identity) = m * (1 + plan.identity_sweeps);
  // n columns cost this many evaluations.
  const double columns =
      std::max(1.0, problem.width * product_weight(problem.batch, problem.width));
  const double levels = parallel::ceil_log2(problem.chunks) * columns;
  at(plan.cost, Method::dense) = m + machine().dense_corrections * (m * (2 + columns) + levels);
  at(plan.cost, Method::newton) =
      problem.newton ? machine().newton_iterations * (m * (2 + columns) + levels) : kInfinity;
}

/// Tangents cost a walk of their own, but where nothing is left of a carry at a chunk's end.
void predict_linear(const ChunkProblem& problem, ChunkPlan& plan) {
  const auto m = static_cast<double>(problem.longest_rank);
  const double size = m / static_cast<double>(problem.chunks_per_rank);
  const double tangents = size > kUntilZero * plan.forgetting_steps ? 0 : m;
  at(plan.cost, Method::zero) = m + tangents + merging(problem, plan);
  // The first walk, one for each vector, and one from the carries that they give.
  at(plan.cost, Method::identity) = m * (2 + plan.identity_sweeps) + tangents;
  at(plan.cost, Method::dense) = problem.hybrid;
  at(plan.cost, Method::newton) = kInfinity;
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
  at(plan.cost, Method::sequential) = static_cast<double>(problem.steps);
  if (problem.linear) {
    predict_linear(problem, plan);
  } else {
    predict_nonlinear(problem, plan);
  }
  double best =
      problem.may_substitute ? machine().worth_it * at(plan.cost, Method::sequential) : kInfinity;
  if (!problem.may_substitute) plan.method = Method::identity;
  for (const Method method : {Method::zero, Method::identity, Method::dense, Method::newton}) {
    const bool other = problem.linear && method == Method::dense;
    if (at(plan.cost, method) >= best || (other && !problem.may_substitute)) continue;
    best = at(plan.cost, method);
    plan.method = method;
  }
  return plan;
}

std::string explain(const ChunkPlan& plan, const ChunkProblem& problem) {
  const auto steps = [](double value) {
    return std::isfinite(value) ? fmt::format("{:.0f}", value) : std::string("no");
  };
  const std::string forgets =
      std::isfinite(plan.forgetting_steps)
          ? fmt::format("a start is forgotten in about {:.0f} steps", plan.forgetting_steps)
          : std::string("a start is not forgotten");
  return fmt::format(
      "{}; steps in a row predicted: sequential {}, zero {}, identity {}, dense {}{}", forgets,
      steps(at(plan.cost, Method::sequential)), steps(at(plan.cost, Method::zero)),
      steps(at(plan.cost, Method::identity)), steps(at(plan.cost, Method::dense)),
      problem.newton ? fmt::format(", newton {}", steps(at(plan.cost, Method::newton))) : "");
}

}  // namespace deeppcr::plan
