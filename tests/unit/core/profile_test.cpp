#include "deeppcr/core/profile.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

namespace deeppcr {
namespace {

double seconds_shown = 0;

TEST(Stopwatch, FollowsTheClockInForce) {
  use_clock([] { return seconds_shown; });
  seconds_shown = 10;
  Stopwatch watch;
  seconds_shown = 13.5;
  EXPECT_EQ(watch.seconds(), 3.5);
  watch.restart();
  EXPECT_EQ(watch.seconds(), 0.0);
  use_clock(MPI_Wtime);
}

}  // namespace
}  // namespace deeppcr
