#include "deeppcr/parallel/row_exchange.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(RowExchange, FetchesTheRowsOfOthers) {
  const int P = world().size(), p = world().rank();
  constexpr Index kLength = 3;
  for (const Index rows : {1, 2, 3, 8, 21}) {
    const BlockLayout layout = BlockLayout::balanced(rows, P);
    const StepRange mine = layout.range(p);
    for (const Index stride : {1, 2, 4, 16}) {
      StepRange wanted =
          intersect({mine.first - stride, std::min(mine.first, mine.last - stride)}, {0, rows});
      if (mine.empty()) wanted = {};
      RowExchange exchange(world(), layout, -stride, {0, rows}, kLength);
      ASSERT_EQ(exchange.wanted().size(), wanted.size());
      std::vector<Real> table(static_cast<std::size_t>(mine.size() * kLength));
      std::vector<Real> in(static_cast<std::size_t>(wanted.size() * kLength), -1);
      Traffic traffic;
      for (int again = 0; again < 3; ++again) {
        std::iota(table.begin(), table.end(), again + static_cast<double>(mine.first * kLength));
        exchange.begin(table.data(), in.data(), traffic);
        exchange.end();
        for (Index i = 0; i < wanted.size() * kLength; ++i) {
          EXPECT_EQ(in[static_cast<std::size_t>(i)],
                    static_cast<double>(again + wanted.first * kLength + i));
        }
      }
      EXPECT_EQ(world().sum(traffic.bytes),
                3 * world().sum(wanted.size()) * kLength * Index{sizeof(Real)});
    }
  }
}

}  // namespace
}  // namespace deeppcr::parallel
