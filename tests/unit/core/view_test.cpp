#include "deeppcr/core/view.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace deeppcr {
namespace {

TEST(View, LastIndexRunsFastest) {
  std::vector<Real> data(24);
  std::iota(data.begin(), data.end(), 0.0);
  const States view(data.data(), {2, 3, 4});
  EXPECT_EQ(view(1, 2, 3), 23.0);
  EXPECT_EQ(view(1, 0, 2), 14.0);
  EXPECT_EQ(view[1](2, 1), 21.0);
  EXPECT_EQ(view.slice(1, 2)(0, 0, 0), 12.0);
  EXPECT_EQ(view.size(), 24);
}

TEST(StepRange, IntersectionIsEmptyWhereNothingIsCommon) {
  EXPECT_EQ(intersect({0, 5}, {3, 9}), (StepRange{3, 5}));
  EXPECT_TRUE(intersect({0, 2}, {3, 9}).empty());
  EXPECT_EQ(intersect({0, 2}, {3, 9}).size(), 0);
}

}  // namespace
}  // namespace deeppcr
