#include "deeppcr/parallel/block_layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace deeppcr::parallel {
namespace {

/// Every step has one owner, ranges follow each other, and ranks without steps come last.
void expect_valid(const BlockLayout& layout, Index num_steps, int num_ranks) {
  ASSERT_EQ(layout.num_ranks(), num_ranks);
  ASSERT_EQ(layout.num_steps(), num_steps);
  Index next = 0;
  Index longest = 0;
  bool empty_seen = false;
  for (int p = 0; p < num_ranks; ++p) {
    const StepRange range = layout.range(p);
    EXPECT_EQ(range.first, next);
    next = range.last;
    if (range.empty()) empty_seen = true;
    longest = std::max(longest, range.size());
    EXPECT_EQ(layout.longest(0, p + 1), longest);
    EXPECT_EQ(layout.longest(p, p + 1), range.size());
    EXPECT_FALSE(empty_seen && !range.empty()) << "rank " << p;
    for (Index l = range.first; l < range.last; ++l) ASSERT_EQ(layout.owner(l), p);
  }
  EXPECT_EQ(next, num_steps);
  EXPECT_EQ(layout.longest(), longest);
  EXPECT_EQ(layout.num_active_ranks(), std::min<Index>(num_steps, num_ranks));
  EXPECT_TRUE(layout == BlockLayout(layout.first_steps()));
}

TEST(BlockLayout, IsValidForAllSizes) {
  for (const Index steps : {0, 1, 2, 3, 7, 33, 1000}) {
    for (const int ranks : {1, 2, 3, 7, 8, 64}) {
      expect_valid(BlockLayout::balanced(steps, ranks), steps, ranks);
      std::vector<double> share(static_cast<std::size_t>(ranks), 1.0);
      share.front() = 50;
      expect_valid(BlockLayout::by_share(steps, share), steps, ranks);
    }
  }
}

TEST(BlockLayout, BalancedDiffersByOneStepAtMost) {
  for (const Index steps : {8, 9, 100, 1023}) {
    const BlockLayout layout = BlockLayout::balanced(steps, 8);
    for (int p = 0; p < 8; ++p) {
      EXPECT_GE(layout.range(p).size(), steps / 8);
      EXPECT_LE(layout.range(p).size(), (steps + 7) / 8);
    }
  }
}

TEST(BlockLayout, ByShareFollowsTheShares) {
  const BlockLayout layout = BlockLayout::by_share(1000, {3, 1, 1});
  EXPECT_EQ(layout.range(0).size(), 600);
  EXPECT_EQ(layout.range(1).size(), 200);
}

/// Every step has one owner, that rank holds it, and the ranks' written steps are all steps, once.
void expect_holds_all(const BlockLayout& layout, Index num_steps, int num_ranks) {
  ASSERT_EQ(layout.num_ranks(), num_ranks);
  ASSERT_EQ(layout.num_steps(), num_steps);
  Index written = 0;
  int active = 0;
  for (int p = 0; p < num_ranks; ++p) {
    const StepSet steps = layout.steps(p);
    EXPECT_EQ(layout.count(p), steps.size());
    EXPECT_LE(steps.size(), layout.longest());
    EXPECT_EQ(layout.count(p) > 0, p < layout.num_active_ranks()) << "rank " << p;
    written += layout.written_steps(p).size();
    if (!steps.empty()) active = p + 1;
  }
  EXPECT_EQ(written, num_steps);
  EXPECT_EQ(layout.num_active_ranks(), active);
  for (Index l = 0; l < num_steps; ++l) {
    ASSERT_TRUE(layout.steps(layout.owner(l)).contains(l)) << "step " << l;
    ASSERT_TRUE(layout.written_steps(layout.owner(l)).contains(l)) << "step " << l;
  }
  Index next = 0;
  for (const OwnedRange& part : layout.ranges()) {
    EXPECT_EQ(part.steps.first, next);
    EXPECT_FALSE(part.steps.empty());
    EXPECT_EQ(layout.owner(part.steps.first), part.owner);
    EXPECT_TRUE(layout.steps(part.owner).contains(part.steps));
    next = part.steps.last;
  }
  EXPECT_EQ(next, num_steps);
}

TEST(BlockLayout, DealtBlocksGoInTurns) {
  for (const Index steps : {0, 1, 2, 3, 7, 33, 100}) {
    for (const int ranks : {1, 2, 3, 7}) {
      for (const Index block : {1, 2, 16, 200}) {
        const BlockLayout layout = BlockLayout::dealt(steps, ranks, block);
        expect_holds_all(layout, steps, ranks);
        for (Index l = 0; l < steps; ++l) ASSERT_EQ(layout.owner(l), l / block % ranks);
        // One block a rank, or one rank, is contiguous.
        const bool one_each = ranks == 1 || steps <= block * ranks;
        EXPECT_EQ(layout.is_contiguous(), one_each) << steps << " " << ranks << " " << block;
        EXPECT_EQ(layout.is_replicated(), ranks == 1);
      }
    }
  }
  EXPECT_TRUE(BlockLayout::dealt(9, 1, 2) == BlockLayout::balanced(9, 1));
  EXPECT_FALSE(BlockLayout::dealt(9, 2, 2) == BlockLayout::dealt(9, 2, 1));
}

TEST(BlockLayout, ReplicatedHoldsAllOnEachRank) {
  for (const Index steps : {0, 1, 33}) {
    for (const int ranks : {1, 2, 7}) {
      const BlockLayout layout = BlockLayout::replicated(steps, ranks);
      expect_holds_all(layout, steps, ranks);
      EXPECT_TRUE(layout.is_replicated());
      EXPECT_EQ(layout.is_contiguous(), ranks == 1);
      for (int p = 0; p < ranks; ++p) EXPECT_TRUE(layout.steps(p) == (StepRange{0, steps}));
      for (Index l = 0; l < steps; ++l) EXPECT_EQ(layout.owner(l), 0);
      EXPECT_FALSE(layout == BlockLayout::replicated(steps + 1, ranks));
    }
  }
}

TEST(CeilLog2, CountsLevels) {
  EXPECT_EQ(ceil_log2(0), 0);
  EXPECT_EQ(ceil_log2(1), 0);
  EXPECT_EQ(ceil_log2(2), 1);
  EXPECT_EQ(ceil_log2(3), 2);
  EXPECT_EQ(ceil_log2(1024), 10);
  EXPECT_EQ(ceil_log2(1025), 11);
}

}  // namespace
}  // namespace deeppcr::parallel
