#include "deeppcr/parallel/hand_over.hpp"

#include <gtest/gtest.h>

#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(HandOver, HasRoomWhenTheOldestMessageIsTaken) {
  const int P = world().size(), p = world().rank();
  if (P == 1) GTEST_SKIP() << "nobody to send to";
  const int to = (p + 1) % P, from = (p + P - 1) % P;
  for (const Index count : {Index{1}, Index{100000}})  // at once, and when the receiver asks
    for (const int most : {1, 2, 3}) {
      HandOver messages(world(), to, count, most);
      EXPECT_TRUE(messages.is_idle());
      int sent = 0, taken = 0;
      const auto send = [&] {
        messages.room()[count - 1] = 1000.0 * p + sent++;
        messages.send();
      };
      const auto take = [&] {
        Buffer<Real> in(count);
        HandOver::take(world(), in.data(), count, from);
        EXPECT_EQ(in[count - 1], 1000.0 * from + taken++);
      };
      for (int i = 0; i < most; ++i) send();  // without waiting
      EXPECT_FALSE(messages.is_idle());
      world().barrier();
      for (int i = 0; i < 10; ++i) {
        take();
        send();
      }
      for (int i = 0; i < most; ++i) take();
      world().barrier();
      EXPECT_TRUE(messages.is_idle());
    }
}

}  // namespace
}  // namespace deeppcr::parallel
