#include "deeppcr/core/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace deeppcr {
namespace {

constexpr Index kCount = 100000;

TEST(RandomStream, DependsOnPositionOnly) {
  const RandomStream stream(3, 7);
  std::vector<double> whole(20), part(5);
  stream.normal(0, 20, whole.data());
  stream.normal(11, 5, part.data());
  for (std::size_t i = 0; i < part.size(); ++i) EXPECT_EQ(part[i], whole[11 + i]);
}

TEST(RandomStream, SeedsAndStreamsDiffer) {
  EXPECT_NE(RandomStream(3, 7).uniform(0), RandomStream(4, 7).uniform(0));
  EXPECT_NE(RandomStream(3, 7).uniform(0), RandomStream(3, 8).uniform(0));
}

// Known answer of Philox4x32-10 for counter 0 and key 0, from the authors' test vectors
// (kat_vectors of Random123).
TEST(RandomStream, MatchesThePublishedVector) {
  const std::uint64_t bits = (std::uint64_t{0x6627e8d5} << 32) | 0xe169c58d;
  EXPECT_EQ(RandomStream(0, 0).uniform(0), static_cast<double>(bits >> 11) * 0x1.0p-53);
}

TEST(RandomStream, HasTheMomentsOfItsDistribution) {
  const RandomStream stream(1, 2);
  double mean = 0, square = 0, normal_mean = 0, normal_square = 0;
  for (Index i = 0; i < kCount; ++i) {
    const double u = stream.uniform(i), x = stream.normal(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    mean += u / kCount;
    square += u * u / kCount;
    normal_mean += x / kCount;
    normal_square += x * x / kCount;
  }
  const double five_sigma = 5 / std::sqrt(static_cast<double>(kCount));
  EXPECT_NEAR(mean, 0.5, five_sigma);
  EXPECT_NEAR(square, 1.0 / 3, five_sigma);
  EXPECT_NEAR(normal_mean, 0.0, five_sigma);
  EXPECT_NEAR(normal_square, 1.0, 2 * five_sigma);
}

TEST(RandomStream, IntegersStayBelowTheBound) {
  const RandomStream stream(1, 2);
  std::vector<int> seen(7, 0);
  for (Index i = 0; i < 700; ++i) ++seen[static_cast<std::size_t>(stream.integer(i, 7))];
  for (int count : seen) EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace deeppcr
