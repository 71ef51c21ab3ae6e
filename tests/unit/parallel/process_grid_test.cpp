#include "deeppcr/parallel/process_grid.hpp"

#include <gtest/gtest.h>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(ProcessGrid, EveryRankHasItsPlaceOnBothAxes) {
  for (int depth = 1; depth <= world().size(); ++depth) {
    if (world().size() % depth != 0) continue;
    const ProcessGrid grid(world(), depth, world().size() / depth);
    EXPECT_EQ(grid.depth().size(), depth);
    EXPECT_EQ(grid.data().size(), world().size() / depth);
    EXPECT_EQ(grid.data().rank() * depth + grid.depth().rank(), world().rank());
    // a sum along both axes is the sum over all
    EXPECT_EQ(grid.data().sum(grid.depth().sum(Index{world().rank()})),
              world().sum(Index{world().rank()}));
  }
}

TEST(ProcessGrid, RefusesGridsThatDoNotFit) {
  const int P = world().size();
  EXPECT_THROW(ProcessGrid(world(), P, 2), Error);
  EXPECT_THROW(ProcessGrid(world(), P + 1, 1), Error);
  EXPECT_THROW(ProcessGrid(world(), -1, -P), Error);
  EXPECT_THROW(ProcessGrid(world(), 0, P), Error);
}

TEST(PendingSums, SumsWhileOthersStart) {
  const Index P = world().size(), p = world().rank();
  Buffer<Real> values(3000);
  for (Index i = 0; i < values.size(); ++i) values[i] = static_cast<Real>(i * (p + 1));
  {
    PendingSums sums(world());
    for (Index first = 0; first < 3000; first += 1000) sums.start(values.data() + first, 1000);
    sums.start(nullptr, 0);
    sums.wait();
  }
  for (Index i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], static_cast<Real>(i * (P * (P + 1) / 2)));
}

}  // namespace
}  // namespace deeppcr::parallel
