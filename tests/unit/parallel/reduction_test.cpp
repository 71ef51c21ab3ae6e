#include "deeppcr/parallel/reduction.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/parallel/exchange.hpp"
#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Reduction, GivesMaximaAndSumsOfAllRanks) {
  const int P = world().size(), p = world().rank();
  Reduction together;
  const Index last = together.max(p), first = together.max(-p), ranks = together.sum(1),
              none = together.max(-kInfinity), nan = together.max(p == P - 1 ? std::nan("") : 0);
  const Index squares = together.sum(p * p), negative = together.sum(-0.5);
  together.run(world());
  EXPECT_EQ(together.maximum(last), P - 1);
  EXPECT_EQ(together.maximum(first), 0);
  EXPECT_EQ(together.maximum(none), -kInfinity);
  EXPECT_EQ(together.maximum(nan), kInfinity);
  EXPECT_EQ(together.total(ranks), P);
  EXPECT_EQ(together.total(squares), (P - 1) * P * (2 * P - 1) / 6);
  EXPECT_EQ(together.total(negative), -0.5 * P);
}

TEST(Reduction, TakesNothing) {
  Reduction together;
  together.run(world());
}

TEST(MaxBefore, LooksAtTheRanksBefore) {
  const int p = world().rank();
  EXPECT_EQ(max_before(world(), -p, -100), p == 0 ? -100 : 0);
  EXPECT_EQ(max_before(world(), p, 1.5), p < 3 ? 1.5 : p - 1);
  EXPECT_EQ(max_before(world(), p == 1 ? std::nan("") : 0, 2), p < 2 ? 2 : kInfinity);
}

}  // namespace
}  // namespace deeppcr::parallel
