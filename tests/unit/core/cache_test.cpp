#include "deeppcr/core/cache.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace deeppcr {
namespace {

TEST(Cache, HasASizeAndTakesAnyNumberOfBytes) {
  EXPECT_GE(second_level_cache(), 32 * 1024);
  const std::vector<char> bytes(1000);
  for (const Index count : {0, 1, 64, 1000}) prefetch(bytes.data(), count);
  prefetch(nullptr, 0);
}

}  // namespace
}  // namespace deeppcr
