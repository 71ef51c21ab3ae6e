#include <gtest/gtest.h>

#include "deeppcr/plan/ways.hpp"

namespace deeppcr::plan {
namespace {

TEST(SamplingPlan, TakesTheFasterWayByWhatWasMeasured) {
  SamplingProblem problem;
  problem.steps = 1000;
  problem.window = 24;
  problem.tolerance = 1e-2;
  problem.seconds_of_step = 1e-3;
  problem.seconds_of_sweep = 4e-3;  // six steps' worth for 24 of them
  EXPECT_TRUE(choose_sampling(problem).sweeps);
  problem.seconds_of_sweep = 24e-3;  // a batch that gains nothing
  EXPECT_FALSE(choose_sampling(problem).sweeps);
  EXPECT_NE(choose_sampling(problem).why.find("measured"), std::string::npos);
}

TEST(SamplingPlan, WindowsFillTheCores) {
  EXPECT_EQ(filling_window(1, 1), 24);
  EXPECT_EQ(filling_window(2, 1), 48);
  EXPECT_EQ(filling_window(2, 16), 8);
}

}  // namespace
}  // namespace deeppcr::plan
