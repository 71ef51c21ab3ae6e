#include "deeppcr/parallel/row_exchange.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

/// Whether rows are handed over in an outbox or travel.
class RowExchangeTest : public ::testing::TestWithParam<bool> {};

TEST_P(RowExchangeTest, FetchesTheRowsOfOthers) {
  const int P = world().size(), p = world().rank();
  constexpr Index kLength = 3, kMostRows = 21;
  std::optional<Outbox> outbox;
  if (GetParam()) {
    const std::shared_ptr<const NodeMemory> memory =
        NodeMemory::make(world(), 1 + kMostRows * kLength);
    ASSERT_NE(memory, nullptr);
    outbox.emplace(world(), memory, 1, 0);
  }
  for (const Index rows : {Index{1}, Index{2}, Index{3}, Index{8}, kMostRows}) {
    const BlockLayout layout = BlockLayout::balanced(rows, P);
    const StepRange mine = layout.range(p);
    for (const Index stride : {1, 2, 4, 16}) {
      StepRange wanted =
          intersect({mine.first - stride, std::min(mine.first, mine.last - stride)}, {0, rows});
      if (mine.empty()) wanted = {};
      RowExchange exchange(world(), layout, wanted);
      if (outbox) exchange.hand_over_in(*outbox);
      EXPECT_EQ(exchange.travels(), !GetParam());
      std::vector<Real> table(static_cast<std::size_t>(mine.size() * kLength));
      std::vector<Real> in(static_cast<std::size_t>(wanted.size() * kLength), -1);
      const RowType type(kLength);
      Traffic traffic;
      for (int again = 0; again < 3; ++again) {
        std::iota(table.begin(), table.end(), again + static_cast<double>(mine.first * kLength));
        if (again == 1) {  // written in place, not copied
          Real* place = exchange.claim(type);
          const StepRange sent = exchange.sent_rows();
          for (Index i = sent.first * kLength; i < sent.last * kLength; ++i)
            place[i] = table[static_cast<std::size_t>(i)];
          std::fill(table.begin(), table.end(), -7);
        }
        exchange.begin(table.data(), in.data(), type, traffic);
        std::fill(table.begin(), table.end(), -7);  // what is sent has been copied
        exchange.end();
        for (Index row = wanted.first; row < wanted.last; ++row) {
          for (Index i = 0; i < kLength; ++i)
            EXPECT_EQ(exchange.row(row)[i], static_cast<double>(again + row * kLength + i));
        }
        exchange.release();
      }
      EXPECT_EQ(world().sum(traffic.bytes),
                3 * world().sum(wanted.size()) * kLength * Index{sizeof(Real)});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, RowExchangeTest, ::testing::Bool());

}  // namespace
}  // namespace deeppcr::parallel
