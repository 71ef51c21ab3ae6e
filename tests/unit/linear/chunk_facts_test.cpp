// Judgements of chunks that are spread over ranks, against those of one rank that has them all; and
// how a chain is cut into chunks.
#include "deeppcr/linear/chunk_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/core/random.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::world;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Chunks of which the first `exact` have no seam; some grow, some shrink, a tail may overflow.
std::vector<ChunkFacts> some_facts(Index count, Index exact, std::uint64_t seed, double tail) {
  std::vector<ChunkFacts> all(static_cast<std::size_t>(count));
  constexpr Index kNumbers = 12;
  Buffer<Real> normal(count * kNumbers);
  RandomStream(seed, 1).normal(0, normal.size(), normal.data());
  for (Index c = 0; c < count; ++c) {
    const Real* x = normal.data() + c * kNumbers;
    ChunkFacts& one = all[static_cast<std::size_t>(c)];
    if (c >= exact) {
      one.seam = x[0] > 0 ? 1e-13 * x[0] : 0;
      one.mismatch = x[1] > 0 ? 1e-12 * x[1] : 0;
    }
    one.exit = 3 * x[2];
    one.peak = std::max(one.exit, 3 * std::abs(x[3]));
    one.seam_peak = one.seam * std::exp(std::abs(x[4]));
    one.seam_exit = one.seam * std::exp(x[5]);
    one.all_rise = 4 * std::abs(x[6]);
    one.all_exit_rise = std::max({0.0, one.exit, 2 * x[7]});
    one.rise = one.seam > 0 ? 0.5 * one.all_rise : 0;
    one.exit_rise = one.seam > 0 ? 0.5 * one.all_exit_rise : 0;
    one.most = one.all_rise;
    one.from_start = one.peak;
    one.scale = std::exp(x[8]);
    one.swept = std::floor(10 * std::abs(x[9]));
    one.steps = 128;
    one.probed = 64;
    one.drift = std::abs(x[10]);
  }
  if (tail > 0) all.back().scale = tail;
  return all;
}

struct Found {
  Judgement judgement;
  double path = 0, others = 0;
  plan::Probe probe;
};

/// Two judgements, with a sweep between them, of the part of the chunks that this rank has.
Found judge_part(const ChunkPlace& place, const std::vector<ChunkFacts>& mine, bool waits) {
  std::vector<double> steps;
  for (const ChunkFacts& chunk : mine) steps.push_back(chunk.steps + chunk.swept);
  PathClock clock(steps);
  parallel::Reduction first, second, third;
  judge(place, mine, 1e-10, 0, clock, first);
  clock.sweep(mine, waits);
  const Index others = second.sum(static_cast<double>(mine.size()));
  Found found;
  found.judgement = judge(place, mine, 1e-10, 1e-14, clock, second);
  found.path = clock.steps();
  found.others = second.total(others);
  found.probe = probe(place, mine, third);
  return found;
}

TEST(ChunkJudgement, IsThatOfOneRankWithAllChunks) {
  const parallel::Communicator alone = parallel::Communicator::self();
  for (const Index count : {Index{0}, Index{1}, Index{2}, Index{world().size()}, Index{23}})
    for (const Index exact : {Index{0}, count / 2, count})
      for (const double tail : {0.0, 1e6, kInfinity})
        for (const Direction direction : {Direction::forward, Direction::backward})
          for (std::uint64_t seed = 0; seed < 5; ++seed) {
            const auto all = some_facts(count, exact, seed, count > 0 ? tail : 0);
            const auto layout = parallel::BlockLayout::balanced(count, world().size());
            StepRange part = layout.range(world().rank());
            if (direction == Direction::backward) part = {count - part.last, count - part.first};
            const std::vector<ChunkFacts> mine(all.begin() + part.first, all.begin() + part.last);
            const bool waits = seed % 2 == 1;
            const Found here = judge_part(
                {world(), layout.num_active_ranks(), direction, part.first, count}, mine, waits);
            const Found there =
                judge_part({alone, count > 0 ? 1 : 0, direction, 0, count}, all, waits);
            const Judgement &a = here.judgement, &b = there.judgement;
            EXPECT_EQ(a.residual, b.residual);
            EXPECT_EQ(a.tolerance, b.tolerance);
            EXPECT_EQ(a.exact_chunks, b.exact_chunks);
            EXPECT_EQ(a.moves, b.moves);
            EXPECT_EQ(a.meets, b.meets);
            EXPECT_EQ(a.hopeless, b.hopeless);
            // Sums of growth in another order.
            const double rounding = 1e-13 * static_cast<double>(count + 1);
            if (std::isfinite(b.error)) {
              EXPECT_NEAR(a.error, b.error, rounding * b.error);
            } else {
              EXPECT_EQ(a.error, b.error);
            }
            EXPECT_NEAR(a.growth, b.growth, rounding * (1 + b.growth));
            EXPECT_EQ(here.path, there.path);
            EXPECT_EQ(here.others, static_cast<double>(count));
            EXPECT_EQ(here.probe.forgetting_steps, there.probe.forgetting_steps);
            EXPECT_NEAR(here.probe.drift_square, there.probe.drift_square,
                        rounding * there.probe.drift_square);
          }
}

TEST(Chunks, CutTheStepsOfEachRank) {
  const int P = world().size();
  for (const Index steps : {0, 1, 2, 3, 17, 100})
    for (const auto& layout :
         {parallel::BlockLayout::balanced(steps, P), test::uneven_layout(steps, P)})
      for (const Index count : {0, 1, 2, 5, 64, 1000}) {
        const Chunks chunks(layout, count);
        Index next = 0, chunk = 0, longest = 0;
        for (int p = 0; p < P; ++p) {
          const StepRange own = chunks.of_rank(p);
          EXPECT_EQ(own.first, chunk);
          EXPECT_EQ(own.empty(), layout.range(p).empty());
          EXPECT_EQ(next, layout.range(p).first);
          for (; chunk < own.last; ++chunk) {
            const StepRange cut = chunks.steps(chunk);
            EXPECT_EQ(cut.first, next);
            EXPECT_FALSE(cut.empty());
            longest = std::max(longest, cut.size());
            next = cut.last;
          }
        }
        EXPECT_EQ(next, steps);
        EXPECT_EQ(chunks.size(), chunk);
        EXPECT_EQ(chunks.longest(), longest);
        EXPECT_LE(chunks.size(), std::max<Index>(count, layout.num_active_ranks()));
      }
}

}  // namespace
}  // namespace deeppcr::linear
