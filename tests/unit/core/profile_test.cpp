#include "deeppcr/core/profile.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

namespace deeppcr {
namespace {

double seconds_shown = 0;

TEST(Stopwatch, FollowsTheClockInForce) {
  const Stopwatch running;
  seconds_shown = -1e6;
  use_clock([] { return seconds_shown; });
  EXPECT_GE(running.seconds(), 0);
  EXPECT_LT(running.seconds(), 60);
  seconds_shown = 10;
  Stopwatch watch;
  seconds_shown = 13.5;
  EXPECT_NEAR(watch.seconds(), 3.5, 1e-6);
  watch.restart();
  EXPECT_EQ(watch.seconds(), 0.0);
  use_clock(MPI_Wtime);
}

}  // namespace
}  // namespace deeppcr
