#include "deeppcr/models/wasserstein.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {
namespace {

constexpr Index kPoints = 7, kWidth = 3;

std::vector<Real> points(std::uint64_t stream, Index count) {
  std::vector<Real> x(static_cast<std::size_t>(count * kWidth));
  RandomStream(8, stream).normal(0, count * kWidth, x.data());
  return x;
}
ConstState view(const std::vector<Real>& x) {
  return {x.data(), {static_cast<Index>(x.size()) / kWidth, kWidth}};
}

/// The best of all permutations.
double by_trying(ConstState a, ConstState b) {
  std::vector<Index> order(static_cast<std::size_t>(a.extent(0)));
  std::iota(order.begin(), order.end(), Index{0});
  double best = INFINITY;
  do {
    double sum = 0;
    for (Index i = 0; i < a.extent(0); ++i) {
      double square = 0;
      for (Index k = 0; k < kWidth; ++k)
        square += std::pow(a(i, k) - b(order[static_cast<std::size_t>(i)], k), 2);
      sum += std::sqrt(square) / static_cast<double>(a.extent(0));
    }
    best = std::min(best, sum);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(Wasserstein, IsTheBestOfAllPairings) {
  for (std::uint64_t set = 0; set < 20; ++set) {
    const auto a = points(2 * set, kPoints), b = points(2 * set + 1, kPoints);
    EXPECT_NEAR(wasserstein(view(a), view(b)).distance, by_trying(view(a), view(b)), 1e-12);
  }
}

TEST(Wasserstein, OfASetInAnotherOrderIsZeroAndOfAShiftedOneTheShift) {
  const auto a = points(1, 300);
  std::vector<Real> b(a.rbegin(), a.rend());
  for (std::size_t i = 0; i < b.size(); i += kWidth) std::swap(b[i], b[i + kWidth - 1]);
  EXPECT_NEAR(wasserstein(view(a), view(b)).distance, 0, 1e-12);
  EXPECT_NEAR(wasserstein(view(a), view(b), 10).distance, 0, 1e-12);
  for (Real& value : b) value += 3;
  EXPECT_NEAR(wasserstein(view(a), view(b)).distance, 3 * std::sqrt(3.0), 1e-10);
  const Wasserstein sliced = wasserstein(view(a), view(b), 10);
  EXPECT_FALSE(sliced.exact);
  EXPECT_NEAR(sliced.distance, 3 * std::sqrt(3.0) / 2,
              0.3);  // the mean of |cos| on a sphere is 1/2
}

TEST(Wasserstein, RefusesSetsOfOtherSizes) {
  EXPECT_THROW(wasserstein(view(points(1, 3)), view(points(2, 4))), Error);
}

}  // namespace
}  // namespace deeppcr::models
