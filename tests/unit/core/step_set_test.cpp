#include "deeppcr/core/step_set.hpp"

#include <gtest/gtest.h>

namespace deeppcr {
namespace {

/// The steps of a pattern, found one by one.
std::vector<Index> expected_steps(Index first, Index last, Index block, Index stride) {
  std::vector<Index> steps;
  for (Index l = first; l < last; ++l)
    if ((l - first) % stride < block) steps.push_back(l);
  return steps;
}

void expect_is(const StepSet& set, const std::vector<Index>& steps, Index beyond) {
  ASSERT_EQ(set.size(), static_cast<Index>(steps.size()));
  EXPECT_EQ(set.empty(), steps.empty());
  Index row = 0;
  for (Index l = -1; l < beyond; ++l) {
    const bool held = row < set.size() && steps[static_cast<std::size_t>(row)] == l;
    ASSERT_EQ(set.contains(l), held) << "step " << l;
    if (!held) continue;
    ASSERT_EQ(set.row(l), row);
    ASSERT_EQ(set.step(row), l);
    ++row;
  }
  row = 0;
  for (const StepRange range : set.ranges()) {
    EXPECT_FALSE(range.empty());
    EXPECT_TRUE(set.contains(range));
    EXPECT_FALSE(set.contains(StepRange{range.first, range.last + 1}));
    for (Index l = range.first; l < range.last; ++l) {
      EXPECT_EQ(set.row(l), row++);
      EXPECT_TRUE(set.from(l) == (StepRange{l, range.last}));
    }
  }
  EXPECT_EQ(row, set.size()) << "the ranges are not the set";
}

TEST(StepSet, AnswersAsThePatternDoes) {
  for (const Index first : {0, 3}) {
    for (const Index length : {0, 1, 2, 3, 4, 5, 9, 10, 11, 24}) {
      for (const Index block : {1, 2, 3, 24, 100}) {
        for (const Index stride : {block, block + 1, 2 * block, 5 * block}) {
          const Index last = first + length;
          const StepSet set(first, last, block, stride);
          expect_is(set, expected_steps(first, last, block, stride), last + stride + 1);
          expect_is(set.shifted(7), expected_steps(first + 7, last + 7, block, stride), last + 8);
        }
      }
    }
  }
}

/// Pieces of at most so many steps, one after another, that are the whole set.
TEST(StepSet, IsCutInOrder) {
  for (const Index length : {0, 1, 5, 24, 31}) {
    for (const Index block : {1, 3, 7, 40}) {
      const StepSet set(2, 2 + length, block, block + 4);
      for (const Index rows : {1, 2, 3, 5, 100}) {
        Index row = 0;
        for (const StepSet& piece : set.cut(rows)) {
          EXPECT_GE(piece.size(), 1);
          EXPECT_LE(piece.size(), rows);
          for (Index i = 0; i < piece.size(); ++i) ASSERT_EQ(piece.step(i), set.step(row++));
        }
        EXPECT_EQ(row, set.size());
        if (rows >= set.size()) {
          EXPECT_EQ(set.cut(rows).size(), set.empty() ? 0U : 1U);
        }
      }
    }
  }
}

TEST(StepSet, ARangeIsASet) {
  const StepSet set = StepRange{4, 9};
  EXPECT_TRUE(set.is_contiguous());
  EXPECT_EQ(set.num_ranges(), 1);
  EXPECT_TRUE(set.range() == (StepRange{4, 9}));
  expect_is(set, {4, 5, 6, 7, 8}, 12);
  // An empty one keeps its place.
  EXPECT_TRUE(StepSet(5, 5).range() == (StepRange{5, 5}));
  EXPECT_EQ(StepSet(5, 5).num_ranges(), 0);
  EXPECT_TRUE(StepSet(5, 5).contains(StepRange{7, 7}));
}

TEST(StepSet, IsARangeWhereverItsStepsAre) {
  EXPECT_TRUE(StepSet(2, 30, 4, 4).is_contiguous());
  EXPECT_TRUE(StepSet(2, 30, 4, 4) == StepSet(2, 30));
  EXPECT_TRUE(StepSet(2, 9, 4, 20) == StepSet(2, 6));
  EXPECT_FALSE(StepSet(2, 23, 4, 20).is_contiguous());
  EXPECT_FALSE(StepSet(2, 23, 4, 20) == StepSet(2, 7));
}

}  // namespace
}  // namespace deeppcr
