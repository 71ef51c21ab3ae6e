#include "deeppcr/core/denormals.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace deeppcr {
namespace {

TEST(Denormals, AreZeroFromThenOn) {
  volatile double smallest = std::numeric_limits<double>::min(), half = 0.5;
  volatile double denormal = std::numeric_limits<double>::denorm_min();
  if (!flush_denormals()) GTEST_SKIP() << "this processor has no such mode";
  EXPECT_EQ(smallest * half, 0.0);
  EXPECT_EQ(denormal * 1e300, 0.0);
  EXPECT_EQ(smallest * 1.0, std::numeric_limits<double>::min());
}

}  // namespace
}  // namespace deeppcr
