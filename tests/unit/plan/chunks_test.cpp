#include "deeppcr/plan/chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace deeppcr::plan {
namespace {

/// What tangents show of C chunks of `steps` steps: growth a step, drift over the probed ones. The
/// first has none.
Probe facts(Index chunks, double steps, double rate, double drift) {
  ProbedChunk one;
  one.steps = steps;
  one.probed = 128;
  one.exit = rate * one.probed;
  one.drift = drift;
  Probe all;
  for (Index c = 1; c < chunks; ++c) all.add(one);
  return all;
}

ChunkProblem problem_of(Index ranks, double hybrid) {
  ChunkProblem problem;
  problem.steps = 1024 * ranks;
  problem.chunks = ranks;
  problem.longest_rank = 1024;
  problem.linear = true;
  problem.hybrid = hybrid;
  return problem;
}

TEST(ChunkPlan, CountsTheWalksThatVectorsNeed) {
  using Method = ChunkPlan::Method;
  // Drift so small that one vector does: the first walk, tangents, the vector, the last walk.
  const ChunkPlan near = choose_for_chunks(facts(16, 1024, 0, 1e-12), problem_of(16, 1e9));
  EXPECT_EQ(near.identity_sweeps, 1);
  EXPECT_DOUBLE_EQ(near.cost(Method::identity), 3.4 * 1024);
  EXPECT_EQ(near.method, Method::identity);
  // Hybrid's own figure decides between it and vectors.
  EXPECT_EQ(choose_for_chunks(facts(16, 1024, 0, 1e-12), problem_of(16, 3000)).method,
            Method::dense);
  // Far from identities nothing but hybrid helps, and substitution where that is dear.
  EXPECT_EQ(choose_for_chunks(facts(16, 1024, 0, 1), problem_of(16, 8000)).method, Method::dense);
  EXPECT_EQ(choose_for_chunks(facts(16, 1024, 0, 1), problem_of(16, 16000)).method,
            Method::sequential);
  // Carries that die need no tangents.
  const ChunkPlan dies = choose_for_chunks(facts(16, 1024, -2, 1), problem_of(16, 1e9));
  EXPECT_EQ(dies.method, Method::zero);
  EXPECT_LT(dies.cost(Method::zero), 1024 + 32);
  // A chain that named shooting is not left to others before it was tried.
  ChunkProblem named = problem_of(16, 10);
  named.may_substitute = false;
  EXPECT_EQ(choose_for_chunks(facts(16, 1024, 0, 1), named).method, Method::identity);
}

// s^(k+1) / sqrt((k+1)!) <= rtol, looked for one after another.
TEST(ChunkPlan, FindsTheFirstVectorThatIsEnough) {
  for (const Index chunks : {1, 2, 16, 1000})
    for (const double drift : {0.0, 1e-12, 1e-3, 0.1, 1.0, 3.0, 1e3}) {
      const ChunkProblem problem = problem_of(chunks, 1e9);
      double expected = 0, log_error = 0;
      const Probe seen = facts(chunks, 128, 0, drift);
      for (; expected < static_cast<double>(chunks); ++expected) {
        log_error += 0.5 * (std::log(seen.drift_square) - std::log(expected + 1));
        if (!(log_error > std::log(problem.rtol / 4))) break;
      }
      EXPECT_EQ(choose_for_chunks(seen, problem).identity_sweeps, std::max(1.0, expected))
          << chunks << " chunks, drift " << drift;
    }
}

// Half of the steps with a tangent each are as long as all without: nothing to look for.
TEST(ChunkPlan, KnowsWhenEvenAForgetfulChainGainsNothing) {
  using Method = ChunkPlan::Method;
  ChunkProblem problem = problem_of(2, 0);
  problem.linear = false;
  EXPECT_EQ(best_case(problem).method, Method::zero);
  problem.tangent = 1;
  EXPECT_EQ(best_case(problem).method, Method::sequential);
  problem.tangent = 0.25;  // four samples
  EXPECT_EQ(best_case(problem).method, Method::zero);
  problem = problem_of(4, 0);
  problem.linear = false;
  problem.tangent = 1;
  EXPECT_EQ(best_case(problem).method, Method::zero);
}

TEST(ChunkPlan, MeasuresChunksAgainstAWavefront) {
  using Method = ChunkPlan::Method;
  ChunkProblem problem = problem_of(4, 0);
  problem.linear = false;
  EXPECT_EQ(best_case(problem).method, Method::zero);  // 1024 of 4096
  problem.wavefront = 2100;
  EXPECT_EQ(best_case(problem).method, Method::zero);
  EXPECT_NE(explain(best_case(problem), problem).find("wavefront 2100"), std::string::npos);
  problem.wavefront = 1100;
  EXPECT_EQ(best_case(problem).method, Method::sequential);
}

// What ranks wait for are steps too: short chunks of many ranks lose to one rank, and of two ways
// that take as many steps the one with fewer rounds is taken.
TEST(ChunkPlan, CountsWhatRanksWaitFor) {
  using Method = ChunkPlan::Method;
  ChunkProblem problem = problem_of(1024, 0);
  problem.linear = false;
  problem.ranks = 1024;
  const Probe forgets = facts(1024, 1024, -1, 1);
  const double free = choose_for_chunks(forgets, problem).cost(Method::zero);
  problem.waits = {10, 100, 1000, 1500, 2000};
  const ChunkPlan waits = choose_for_chunks(forgets, problem);
  // A correction with its message and judgement; a message, the look and the end once.
  EXPECT_DOUBLE_EQ(waits.cost(Method::zero), free + (10 + 1000) + (10 + 2 * 100));
  EXPECT_DOUBLE_EQ(waits.cost(Method::sequential), 1024 * 1024 + 1023 * 10);
  EXPECT_EQ(waits.method, Method::zero);
  problem.waits.judgement = 1e6;
  EXPECT_EQ(choose_for_chunks(forgets, problem).method, Method::sequential);
}

}  // namespace
}  // namespace deeppcr::plan
