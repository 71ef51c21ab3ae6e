#include "deeppcr/parallel/exchange.hpp"

#include <gtest/gtest.h>

#include "deeppcr/parallel/block_layout.hpp"
#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(Halo, BringsTheNeighboursValue) {
  const int P = world().size(), p = world().rank();
  for (const Direction direction : {Direction::forward, Direction::backward}) {
    const Real out[2] = {1.0 * p, 10.0 * p};
    Real in[2] = {-1, -1};
    Traffic traffic;
    halo(world(), 0, P - 1, direction, out, in, 2, traffic);
    const int from = direction == Direction::forward ? p - 1 : p + 1;
    const bool has = 0 <= from && from < P;
    EXPECT_EQ(in[0], has ? 1.0 * from : -1.0);
    EXPECT_EQ(in[1], has ? 10.0 * from : -1.0);
    EXPECT_EQ(world().sum(traffic.messages), P - 1);
    EXPECT_EQ(world().sum(traffic.bytes), (P - 1) * 2 * Index{sizeof(Real)});
  }
}

TEST(PrefixSum, IsTheSumOfTheRanksBefore) {
  const int P = world().size(), p = world().rank();
  for (const Direction direction : {Direction::forward, Direction::backward}) {
    for (int active = 1; active <= P; ++active) {
      Real values[2] = {1.0 + p, 100.0};
      TrafficByLevel traffic;
      prefix_sum(world(), active, direction, values, 2, traffic);
      if (p >= active) continue;
      const bool forward = direction == Direction::forward;
      double sum = 0;
      for (int q = forward ? 0 : p + 1; q < (forward ? p : active); ++q) sum += 1.0 + q;
      EXPECT_EQ(values[0], sum) << active << " ranks";
      EXPECT_EQ(values[1], 100.0 * (forward ? p : active - 1 - p));
      EXPECT_EQ(static_cast<int>(traffic.size()), ceil_log2(active));
    }
  }
}

/// x -> a x + b, which do not commute.
void compose(Real* later, const Real* earlier) {
  later[1] += later[0] * earlier[1];
  later[0] *= earlier[0];
}

TEST(CombineBefore, IsTheSameOnNodesOfAnySize) {
  const int P = world().size(), p = world().rank();
  for (int node = 1; node <= P; ++node) {
    const Communicator nodes = world().as_nodes_of(node);
    for (const ScanOver& over :
         {ScanOver{0, P - 1, Direction::forward}, ScanOver{0, P - 1, Direction::backward},
          ScanOver{P / 2, P - 1, Direction::forward}, ScanOver{P / 3, P - 1, Direction::backward},
          ScanOver{1, 0, Direction::forward}}) {
      Buffer<Real> own(2), before(2);
      own[0] = before[0] = 1;
      if (over.first <= p && p <= over.last) own[0] = 2 + p, own[1] = 1 + p;
      TrafficByLevel traffic;
      combine_before(nodes, over, own, before, compose, traffic);
      Real expected[2] = {1, 0};
      const bool forward = over.direction == Direction::forward;
      for (int q = forward ? over.first : over.last; q != p && over.first <= q && q <= over.last;
           q += forward ? 1 : -1) {
        Real map[2] = {2.0 + q, 1.0 + q};
        compose(map, expected);
        std::copy_n(map, 2, expected);
      }
      if (p < over.first || p > over.last) expected[0] = 1, expected[1] = 0;
      EXPECT_EQ(before[0], expected[0]) << "nodes of " << node;
      EXPECT_EQ(before[1], expected[1]) << "nodes of " << node;
      const TrafficByLevel all =
          ScanLines(p, node, over.first, over.last, over.direction).traffic(16, 16);
      ASSERT_EQ(traffic.size(), all.size());
      for (std::size_t k = 0; k < all.size(); ++k) {
        EXPECT_EQ(world().sum(traffic[k].messages), all[k].messages) << "level " << k;
        EXPECT_EQ(world().sum(traffic[k].bytes), all[k].bytes) << "level " << k;
      }
    }
  }
}

TEST(Shift, CrossesTheStrideWithinTheRanksTakingPart) {
  const int P = world().size(), p = world().rank();
  for (int stride = 1; stride < P; ++stride) {
    for (const int first : {0, 1}) {
      const Real out = p;
      Real in = -1;
      Traffic traffic;
      shift(world(), RankLine::of(p, first, P - 1, Direction::forward), stride, &out, 1, &in, 1,
            traffic);
      const bool has = p >= first && p - stride >= first;
      EXPECT_EQ(in, has ? 1.0 * (p - stride) : -1.0) << "stride " << stride;
    }
  }
}

TEST(GatherRows, GivesEveryRankTheWholeTable) {
  const int P = world().size(), p = world().rank();
  constexpr Index kRow = 3;
  for (const Index rows : {0, 1, P, 4 * P + 1}) {
    const BlockLayout layout = BlockLayout::balanced(rows, P);
    std::vector<Real> table(static_cast<std::size_t>(rows * kRow), -1);
    for (Index i = layout.range(p).first * kRow; i < layout.range(p).last * kRow; ++i)
      table[static_cast<std::size_t>(i)] = static_cast<Real>(i);
    Traffic traffic;
    gather_rows(world(), layout.first_steps(), table.data(), kRow, traffic);
    for (std::size_t i = 0; i < table.size(); ++i) ASSERT_EQ(table[i], static_cast<Real>(i));
    EXPECT_EQ(world().sum(traffic.bytes), (P - 1) * rows * kRow * Index{sizeof(Real)});
  }
}

}  // namespace
}  // namespace deeppcr::parallel
