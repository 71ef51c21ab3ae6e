// Tests that fail on purpose, each run by CTest on its own: does the common main report them?
#include <gtest/gtest.h>

#include <stdexcept>

#include "support/environment.hpp"

namespace deeppcr::test {
namespace {

bool on_last_rank() { return world().rank() == world().size() - 1; }

TEST(Probe, Passes) { EXPECT_EQ(world().sum(Index{1}), world().size()); }

TEST(Probe, FailsOnOneRank) { EXPECT_FALSE(on_last_rank()) << "made to fail"; }

TEST(Probe, ThrowsOnAllRanks) { throw std::runtime_error("made to throw"); }

TEST(Probe, LeavesOthersWaiting) {
  if (on_last_rank()) throw std::runtime_error("made to throw");
  world().barrier();
}

}  // namespace
}  // namespace deeppcr::test
