#include "deeppcr/parallel/node_memory.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "deeppcr/parallel/outbox.hpp"
#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(NodeMemory, IsNotMadeWhereAPartOfOneRankIsTooLarge) {
  const Index most = NodeMemory::kMostBytes / Index{sizeof(Real)};
  const bool last = world().rank() == world().size() - 1;
  EXPECT_EQ(NodeMemory::make(world(), last ? most + 1 : 8), nullptr);
  EXPECT_NE(NodeMemory::make(world(), last ? most : 8), nullptr);
}

// Every rank lays a number down for all others, who read it before the next one is there. The slow
// reader would see a later number if the owner did not wait for its release.
TEST(Outbox, KeepsWhatIsReadUntilItIsReleased) {
  const int P = world().size(), p = world().rank();
  std::vector<int> others;
  for (int q = 0; q < P; ++q)
    if (q != p) others.push_back(q);
  const std::shared_ptr<const NodeMemory> memory = NodeMemory::make(world(), 8);
  ASSERT_NE(memory, nullptr);
  Outbox outbox(world(), memory, 5, 0);
  for (int round = 0; round < 1000; ++round) {
    *outbox.claim() = 10 * round + p;
    outbox.announce(others);
    outbox.await(others);
    for (const int q : others) EXPECT_EQ(*outbox.of(q), 10 * round + q);
    if (round % 100 == p) {
      for (volatile int spin = 0; spin < 100000; spin = spin + 1) {
      }
      for (const int q : others) EXPECT_EQ(*outbox.of(q), 10 * round + q);
    }
    outbox.release(others);
  }
}

}  // namespace
}  // namespace deeppcr::parallel
