#include "deeppcr/parallel/hand_over.hpp"

#include <gtest/gtest.h>

#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(HandOver, HasRoomWhenTheLastMessageIsTaken) {
  const int P = world().size(), p = world().rank();
  if (P == 1) GTEST_SKIP() << "nobody to send to";
  for (const Index count : {Index{1}, Index{100000}}) {  // at once, and when the receiver asks
    HandOver messages(world(), (p + 1) % P, count);
    EXPECT_TRUE(messages.has_room());
    messages.room()[count - 1] = 10.0 * p;
    messages.send();
    EXPECT_FALSE(messages.has_room());
    world().barrier();
    Buffer<Real> in(count);
    const int from = (p + P - 1) % P;
    world().receive(in.data(), count, from);
    EXPECT_EQ(in[count - 1], 10.0 * from);
    messages.room()[count - 1] = 10.0 * p + 1;
    messages.send();
    world().receive(in.data(), count, from);
    EXPECT_EQ(in[count - 1], 10.0 * from + 1);
  }
}

}  // namespace
}  // namespace deeppcr::parallel
