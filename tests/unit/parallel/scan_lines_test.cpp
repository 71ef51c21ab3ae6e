#include "deeppcr/parallel/scan_lines.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace deeppcr::parallel {
namespace {

std::vector<int> ranks(const RankLine& line) {
  std::vector<int> all;
  for (int i = 0; i < line.count; ++i) all.push_back(line.rank_at(i));
  return all;
}

using Ranks = std::vector<int>;

// Ranks 2..9 on nodes of 4: [2 3] [4 5 6 7] [8 9].
TEST(ScanLines, LeadersAreTheLastOfEachNode) {
  const ScanLines forward(5, 4, 2, 9, Direction::forward);
  EXPECT_EQ(ranks(forward.node), (Ranks{4, 5, 6, 7}));
  EXPECT_EQ(ranks(forward.leaders), (Ranks{3, 7, 9}));
  EXPECT_EQ(forward.leaders.position, -1);
  const ScanLines backward(4, 4, 2, 9, Direction::backward);
  EXPECT_EQ(ranks(backward.node), (Ranks{7, 6, 5, 4}));
  EXPECT_EQ(ranks(backward.leaders), (Ranks{8, 4, 2}));
  EXPECT_EQ(backward.leaders.position, 1);
  EXPECT_TRUE(ScanLines(9, 4, 2, 9, Direction::backward).begins);
  EXPECT_EQ(ScanLines(1, 4, 2, 9, Direction::forward).node.position, -1);
}

// 1024 ranks on nodes of 32: five levels within, five between, five into the nodes; of one between,
// a message a node.
TEST(ScanLines, SendsOneMessageANodeAndLevelBetweenNodes) {
  const ScanLines lines(0, 32, 0, 1023, Direction::forward);
  const TrafficByLevel traffic = lines.traffic(100, 1);
  ASSERT_EQ(traffic.size(), 15u);
  EXPECT_EQ(traffic[0].messages, 32 * 31);
  EXPECT_EQ(traffic[0].bytes, 31 * 31 * 100 + 30 * 100 + 1);
  EXPECT_EQ(traffic[5].messages, 31);
  EXPECT_EQ(traffic[5].bytes, 30 * 100 + 1);
  EXPECT_EQ(traffic[14].messages, 31 * 16);
  EXPECT_EQ(traffic[14].bytes, 31 * 16);
  EXPECT_EQ(ScanLines(0, 32, 0, 31, Direction::forward).num_levels(), 5);
}

}  // namespace
}  // namespace deeppcr::parallel
