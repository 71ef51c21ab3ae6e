// Where rows are handed over must not show: read where they lie, or sent.
#include "linear/pcr_levels.hpp"

#include <gtest/gtest.h>

#include "support/environment.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::linear {
namespace {

using test::RandomChain;
using test::world;

class PcrLevelsTest : public ::testing::TestWithParam<std::tuple<Index, Direction>> {};

TEST_P(PcrLevelsTest, RowsOfANodeAreThoseThatTravel) {
  const auto [steps, direction] = GetParam();
  constexpr Index kBatch = 2;
  constexpr int kWidth = 3;
  const parallel::BlockLayout layout = test::uneven_layout(steps, world().size());
  RandomChain problem(world(), layout, kBatch, kWidth);
  const Index m = problem.chain().local_range().size();
  const LevelShape shape{layout, {0, steps}, kBatch, kWidth, direction};
  parallel::TrafficByLevel traffic;
  const auto solved = [&](PcrLevels& levels) {
    Buffer<Real> A = problem.copy_of_blocks(), x = problem.copy_of_rhs();
    levels.reduce(Blocks(A.data(), {m, kBatch, kWidth, kWidth}), States(x.data(), problem.shape()),
                  traffic);
    return x;
  };
  PcrLevels by_messages(world(), shape, false), in_place(world(), shape);
  EXPECT_FALSE(by_messages.shares_node());
  EXPECT_EQ(in_place.shares_node(), layout.num_active_ranks() > 1);
  const Buffer<Real> expected = solved(by_messages);
  const parallel::TrafficByLevel expected_traffic = traffic;
  for (int again = 0; again < 3; ++again) {
    for (PcrLevels* levels : {&in_place, &by_messages}) {
      const Buffer<Real> x = solved(*levels);
      for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(x[i], expected[i]) << i;
      ASSERT_EQ(traffic.size(), expected_traffic.size());
      for (std::size_t k = 0; k < traffic.size(); ++k) {
        EXPECT_EQ(traffic[k].messages, expected_traffic[k].messages);
        EXPECT_EQ(traffic[k].bytes, expected_traffic[k].bytes);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, PcrLevelsTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 33, 500),
                                            ::testing::Values(Direction::forward,
                                                              Direction::backward)));

}  // namespace
}  // namespace deeppcr::linear
