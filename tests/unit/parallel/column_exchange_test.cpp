#include "deeppcr/parallel/column_exchange.hpp"

#include <gtest/gtest.h>

#include "deeppcr/parallel/block_layout.hpp"
#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

Real entry(Index row, Index column) { return static_cast<Real>(1000 * row + column); }

/// Rows of these ranks, and columns of the first `holders` ones; the last may have none.
TwoWays ways(const BlockLayout& rows, Index width, int holders) {
  TwoWays made{rows.first_steps(), {}, width};
  const BlockLayout columns = BlockLayout::balanced(width, holders);
  for (int p = 0; p < world().size(); ++p) {
    const StepRange own = p < holders ? columns.range(p) : StepRange{};
    made.columns.push_back({own.first, own.size()});
  }
  return made;
}

TEST(TwoWays, GoThereAndBack) {
  const int P = world().size(), rank = world().rank();
  for (const Index width : {1, 2, 7})
    for (const Index num_rows : {0, 1, P, 400'000})
      for (int holders = 1; holders <= P; ++holders) {
        const BlockLayout layout = BlockLayout::balanced(num_rows, P);
        const TwoWays two = ways(layout, width, holders);
        const StepRange own = layout.range(rank);
        std::vector<Real> rows(static_cast<std::size_t>(own.size() * width));
        for (Index i = 0; i < own.size() * width; ++i)
          rows[static_cast<std::size_t>(i)] = entry(own.first + i / width, i % width);
        const TwoWays::Columns columns = two.columns[static_cast<std::size_t>(rank)];
        std::vector<Real> table(static_cast<std::size_t>(num_rows * columns.count));
        Traffic there, back;
        rows_to_columns(world(), two, rows.data(), table.data(), there);
        for (Index i = 0; i < num_rows * columns.count; ++i)
          ASSERT_EQ(table[static_cast<std::size_t>(i)],
                    entry(i / columns.count, columns.first + i % columns.count));
        std::vector<Real> again(rows.size(), -1);
        columns_to_rows(world(), two, table.data(), again.data(), back);
        ASSERT_EQ(again, rows);
        for (const Traffic& sent : {there, back}) {
          EXPECT_EQ(world().sum(sent.messages), two.traffic().messages);
          EXPECT_EQ(world().sum(sent.bytes), two.traffic().bytes);
        }
      }
}

TEST(TwoWays, ColumnsMayOverlapAndBeLeftOut) {
  const int P = world().size(), rank = world().rank();
  const BlockLayout layout = BlockLayout::balanced(3 * P, P);
  TwoWays two = ways(layout, 3, P);
  for (TwoWays::Columns& columns : two.columns) columns = {1, 1};  // all ranks want this one
  std::vector<Real> rows(9);
  for (Index i = 0; i < 9; ++i) rows[static_cast<std::size_t>(i)] = entry(3 * rank + i / 3, i % 3);
  std::vector<Real> table(static_cast<std::size_t>(3 * P));
  Traffic traffic;
  rows_to_columns(world(), two, rows.data(), table.data(), traffic);
  for (Index i = 0; i < 3 * P; ++i) EXPECT_EQ(table[static_cast<std::size_t>(i)], entry(i, 1));
  // One rank's column goes back; the others stay.
  for (std::size_t p = 1; p < two.columns.size(); ++p) two.columns[p].count = 0;
  std::vector<Real> back(9, -1);
  columns_to_rows(world(), two, table.data(), back.data(), traffic);
  for (Index i = 0; i < 9; ++i)
    EXPECT_EQ(back[static_cast<std::size_t>(i)], i % 3 == 1 ? entry(3 * rank + i / 3, 1) : -1);
}

}  // namespace
}  // namespace deeppcr::parallel
