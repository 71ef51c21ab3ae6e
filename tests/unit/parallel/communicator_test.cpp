#include "deeppcr/parallel/communicator.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "deeppcr/parallel/exchange.hpp"
#include "support/environment.hpp"

namespace deeppcr::parallel {
namespace {

using test::world;

TEST(Communicator, Reduces) {
  const Index P = world().size(), p = world().rank();
  EXPECT_EQ(world().sum(p), P * (P - 1) / 2);
  EXPECT_EQ(world().max(p), P - 1);
  EXPECT_EQ(world().min(static_cast<double>(p)), 0.0);
  EXPECT_TRUE(world().any(p == P - 1));
  EXPECT_FALSE(world().any(false));
}

TEST(Communicator, MaximumKeepsNaN) {
  std::vector<double> values{1.0, 2.0};
  if (world().rank() == world().size() - 1) values[1] = std::nan("");
  world().max(values);
  EXPECT_EQ(values[0], 1.0);
  EXPECT_FALSE(std::isfinite(values[1]));
}

// Rank r brings the r-th of these; the first rank's value counts for the others only.
TEST(Communicator, MaximumOverTheRanksBefore) {
  const std::vector<double> values{-3.0, 5.0, 4.0, std::nan(""), 6.0};
  const std::vector<double> expected{1.0, 1.0, 5.0, 5.0, std::numeric_limits<double>::infinity()};
  const auto p = static_cast<std::size_t>(world().rank());
  ASSERT_LT(p, values.size());
  EXPECT_EQ(max_before(world(), values[p], 1.0), expected[p]);
}

// Rank r brings r values.
TEST(Communicator, GathersAnyNumberOfValues) {
  const int P = world().size();
  const std::vector<double> mine(static_cast<std::size_t>(world().rank()), world().rank() + 0.5);
  std::vector<double> expected;
  for (int r = 0; r < P; ++r) expected.insert(expected.end(), static_cast<std::size_t>(r), r + 0.5);
  EXPECT_EQ(world().gather_all(mine), expected);
}

TEST(Communicator, Broadcasts) {
  std::string text = world().is_root() ? "from the root" : "";
  world().broadcast(text, 0);
  EXPECT_EQ(text, "from the root");
  unsigned char bytes[2] = {
      world().is_root() ? static_cast<unsigned char>(200) : static_cast<unsigned char>(0), 1};
  world().broadcast(bytes, 2, 0);
  EXPECT_EQ(bytes[0], 200);
}

TEST(Communicator, FirstRanksSplitsOffTheRest) {
  const Communicator first = world().first_ranks(1);
  EXPECT_EQ(first.size(), 1);
  const Communicator all = world().first_ranks(world().size());
  EXPECT_EQ(all.size(), world().size());
}

TEST(Agree, AllRanksThrowTheErrorOfOne) {
  const int thrower = world().size() - 1;
  try {
    agree(world(), [&] {
      if (world().rank() == thrower) throw local_input_error("rank {} found it", thrower);
    });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.seen(), Error::Seen::everywhere);
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_EQ(std::string(error.what()), fmt::format("rank {} found it", thrower));
  }
}

TEST(Agree, PassesWhenNobodyThrows) {
  EXPECT_NO_THROW(agree(world(), [] {}));
}

}  // namespace
}  // namespace deeppcr::parallel
