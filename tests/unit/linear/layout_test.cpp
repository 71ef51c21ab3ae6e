// The layouts that the catalogue's entries choose.
#include <gtest/gtest.h>

#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::linear {
namespace {

TEST(Layout, HybridGivesTheRankWithoutEliminationMoreSteps) {
  for (const int ranks : {3, 4}) {
    const auto layout = find("hybrid").layout(8192, ranks, 16, Passes::forward);
    EXPECT_GT(layout.range(0).size(), layout.range(1).size());
    const auto both = find("hybrid").layout(8192, ranks, 16, Passes::forward_and_backward);
    EXPECT_NEAR(static_cast<double>(both.range(0).size()),
                static_cast<double>(both.range(ranks - 1).size()), 2.0);
  }
}

TEST(Layout, HybridIsEqualWhereTheResidualWeighsMost) {
  for (const int ranks : {1, 2, 64}) {
    EXPECT_EQ(find("hybrid").layout(8192, ranks, 16, Passes::forward),
              parallel::BlockLayout::balanced(8192, ranks));
  }
}

TEST(Catalogue, UnknownNamesAreRefusedWithTheKnownOnes) {
  try {
    find("hybird");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_NE(std::string(error.what()).find("sequential, pcr, hybrid"), std::string::npos);
  }
}

}  // namespace
}  // namespace deeppcr::linear
