#include "linear/pcr_cost.hpp"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

namespace deeppcr::linear {
namespace {

using parallel::BlockLayout;

/// Row by row.
RowsFetched counted(const BlockLayout& layout, Index first, Index stride) {
  RowsFetched sum;
  std::set<std::pair<int, int>> pairs;
  for (Index row = first; row + stride < layout.num_steps(); ++row) {
    const int from = layout.owner(row), to = layout.owner(row + stride);
    if (from == to) continue;
    ++sum.rows;
    pairs.insert({from, to});
  }
  sum.messages = static_cast<Index>(pairs.size());
  return sum;
}

void compare(const BlockLayout& layout) {
  const Index L = layout.num_steps();
  for (Index stride = 1; stride < L; ++stride)
    for (const Index first : {Index{0}, stride}) {
      const RowsFetched expected = counted(layout, first, stride),
                        found = rows_fetched(layout, first, stride);
      ASSERT_EQ(found.rows, expected.rows) << L << " steps, " << layout.num_ranks() << " ranks";
      ASSERT_EQ(found.messages, expected.messages)
          << L << " steps, " << layout.num_ranks() << " ranks, stride " << stride;
    }
}

TEST(RowsFetched, AreThoseCountedRowByRow) {
  for (Index L = 1; L <= 48; ++L)
    for (int P = 1; P <= 11; ++P) compare(BlockLayout::balanced(L, P));
  compare(BlockLayout::balanced(1000, 96));
  compare(BlockLayout(std::vector<Index>{0, 3, 10, 11, 11}));
  compare(BlockLayout::by_share(64, {1, 3, 2, 2, 1}));
}

}  // namespace
}  // namespace deeppcr::linear
