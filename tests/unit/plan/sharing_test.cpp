#include <gtest/gtest.h>

#include "deeppcr/core/error.hpp"
#include "deeppcr/plan/ways.hpp"

namespace deeppcr::plan {
namespace {

TEST(SharingPlan, ListsTheGridsThatFit) {
  EXPECT_EQ(possible_grids({0, 0}, 6, 100).size(), 4U);
  EXPECT_EQ(possible_grids({0, 0}, 6, 2).size(), 2U);  // 1 or 2 data ranks
  const auto given = possible_grids({2, 0}, 6, 100);
  ASSERT_EQ(given.size(), 1U);
  EXPECT_EQ(given.front().data, 3);
}

TEST(SharingPlan, RefusesGridsThatDoNotFit) {
  EXPECT_THROW(possible_grids({2, 2}, 6, 100), Error);
  EXPECT_THROW(possible_grids({4, 0}, 6, 100), Error);
  EXPECT_THROW(possible_grids({1, 0}, 6, 5), Error);
}

TEST(SharingPlan, TakesTheCheapestAndSaysWhatWouldBeFaster) {
  const Way dear{{4, 1}, "--nonlinear newton", false, 30, 0};
  const Way cheap{{1, 4}, "--nonlinear sequential", true, 10, 1};
  const Sharing open = choose_sharing({dear, cheap}, {dear, cheap});
  EXPECT_EQ(open.way.key, 1U);
  EXPECT_NE(open.choice.find("cheapest of 2 ways"), std::string::npos) << open.choice;
  EXPECT_NE(open.choice.find("--nonlinear newton on 4 depth x 1 data ranks, 3 times"),
            std::string::npos)
      << open.choice;
  EXPECT_EQ(open.advice, "");
  const Sharing asked = choose_sharing({dear}, {dear, cheap});
  EXPECT_EQ(asked.way.key, 0U);
  EXPECT_EQ(asked.choice, "");  // nothing was open
  EXPECT_NE(asked.advice.find(
                "--nonlinear sequential on 1 depth x 4 data ranks would be about 3.0 times"),
            std::string::npos)
      << asked.advice;
}

}  // namespace
}  // namespace deeppcr::plan
