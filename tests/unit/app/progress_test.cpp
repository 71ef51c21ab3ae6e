#include "app/progress.hpp"

#include <gtest/gtest.h>

namespace deeppcr::app {
namespace {

std::string text_of(int iteration, double seconds, Index max_iterations) {
  nonlinear::IterationRecord record;
  record.iteration = iteration;
  record.residual = 1e-3;
  record.frozen_prefix = 12;
  return progress_text(record, seconds, max_iterations);
}

TEST(Progress, SaysHowLongItTakesAtMost) {
  EXPECT_EQ(text_of(4, 10, 50),
            "iteration 4  residual 1.00e-03  exact states 12  2 s an iteration  at most 92 s left");
  EXPECT_EQ(text_of(0, 2, 0),
            "iteration 0  residual 1.00e-03  exact states 12  2 s an iteration  at most 0 s left");
}

TEST(Progress, SaysNoNegativeTimes) {
  for (const int iteration : {51, 16383}) {
    const std::string text = text_of(iteration, 10, 50);
    EXPECT_EQ(text.find("left"), std::string::npos) << text;
    EXPECT_EQ(text.find(" -"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace deeppcr::app
