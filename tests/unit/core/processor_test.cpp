#include "deeppcr/core/processor.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace deeppcr {
namespace {

TEST(Cache, HasASizeAndTakesAnyNumberOfBytes) {
  EXPECT_GE(second_level_cache(), 32 * 1024);
  const std::vector<char> bytes(1000);
  for (const Index count : {0, 1, 64, 1000}) prefetch(bytes.data(), count);
  prefetch(nullptr, 0);
}

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
