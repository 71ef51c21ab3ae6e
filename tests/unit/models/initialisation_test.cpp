#include "models/initialisation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {
namespace {

constexpr Initialisation kRandom[] = {Initialisation::fan_in, Initialisation::xavier,
                                      Initialisation::he, Initialisation::orthogonal};

std::vector<double> weights(Initialisation kind, double gain, const LayerKey& key, int n) {
  std::vector<double> W(static_cast<std::size_t>(n) * n, -99);
  initialise_weights(kind, gain, key, n, W.data());
  return W;
}

double mean_square(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return sum / static_cast<double>(x.size());
}

TEST(Initialisation, HasTheVarianceOfItsKind) {
  constexpr int n = 64;
  struct Expected {
    Initialisation kind;
    double variance;
  };
  const Expected table[] = {{Initialisation::fan_in, 1.0 / (3 * n)},
                            {Initialisation::xavier, 1.0 / n},
                            {Initialisation::he, 2.0 / n},
                            {Initialisation::orthogonal, 1.0 / n}};
  for (const Expected& expected : table) {
    const std::vector<double> W = weights(expected.kind, 1, {3, 0, 0}, n);
    // The mean of n^2 squares scatters by sqrt(2) / n of itself at most: five times that.
    EXPECT_NEAR(mean_square(W) / expected.variance, 1, 5 * std::sqrt(2.0) / n)
        << static_cast<int>(expected.kind);
  }
}

TEST(Initialisation, UniformKindsKeepToTheirBounds) {
  constexpr int n = 32;
  for (const auto& [kind, bound] : {std::pair{Initialisation::fan_in, 1 / std::sqrt(32.0)},
                                    std::pair{Initialisation::xavier, std::sqrt(3.0 / 32)}}) {
    const std::vector<double> W = weights(kind, 2, {3, 5, 1}, n);
    const auto [low, high] = std::minmax_element(W.begin(), W.end());
    EXPECT_GE(*low, -2 * bound);
    EXPECT_LE(*high, 2 * bound);
    EXPECT_LT(*low, -1.9 * bound);
    EXPECT_GT(*high, 1.9 * bound);
  }
}

TEST(Initialisation, OrthogonalColumnsAreOrthonormalTimesTheGain) {
  for (const int n : {1, 2, 3, 8, 17, 64}) {
    const std::vector<double> W = weights(Initialisation::orthogonal, 0.5, {1, 4, 0}, n);
    for (int j = 0; j < n; ++j)
      for (int k = 0; k < n; ++k) {
        double product = 0;
        for (int i = 0; i < n; ++i) product += W[j * n + i] * W[k * n + i];
        EXPECT_NEAR(product, j == k ? 0.25 : 0, 10 * n * std::numeric_limits<double>::epsilon());
      }
  }
}

TEST(Initialisation, GainMultipliesWeights) {
  for (const Initialisation kind : kRandom) {
    const std::vector<double> one = weights(kind, 1, {1, 2, 0}, 5);
    const std::vector<double> three = weights(kind, 3, {1, 2, 0}, 5);
    for (std::size_t i = 0; i < one.size(); ++i)
      EXPECT_NEAR(three[i], 3 * one[i], 1e-15) << static_cast<int>(kind);
  }
}

TEST(Initialisation, DependsOnSeedStepAndLayerOnly) {
  for (const Initialisation kind : kRandom) {
    const std::vector<double> W = weights(kind, 1, {1, 2, 0}, 4);
    EXPECT_EQ(W, weights(kind, 1, {1, 2, 0}, 4)) << static_cast<int>(kind);
    EXPECT_NE(W, weights(kind, 1, {2, 2, 0}, 4)) << static_cast<int>(kind);
    EXPECT_NE(W, weights(kind, 1, {1, 3, 0}, 4)) << static_cast<int>(kind);
    EXPECT_NE(W, weights(kind, 1, {1, 2, 1}, 4)) << static_cast<int>(kind);
  }
}

TEST(Initialisation, NeighbouringStepsShareNoNumbers) {
  const std::vector<double> W0 = weights(Initialisation::fan_in, 1, {1, 0, 0}, 4);
  const std::vector<double> W1 = weights(Initialisation::fan_in, 1, {1, 1, 0}, 4);
  for (const double value : W0) EXPECT_EQ(std::count(W1.begin(), W1.end(), value), 0);
}

TEST(Initialisation, BiasIsUniform) {
  constexpr int n = 1024;
  for (const Initialisation kind : kRandom) {
    std::vector<double> b(n);
    initialise_bias(kind, {1, 0, 0}, n, b.data());
    const double bound = 1 / std::sqrt(n);
    for (const double value : b) EXPECT_LE(std::fabs(value), bound);
    // A square of a uniform number scatters by 0.9 of its mean.
    EXPECT_NEAR(mean_square(b) / (bound * bound / 3), 1, 5 * 0.9 / std::sqrt(n))
        << static_cast<int>(kind);
  }
}

TEST(Initialisation, ZeroIsZero) {
  const std::vector<double> W = weights(Initialisation::zero, 1, {1, 0, 0}, 3);
  EXPECT_EQ(W, std::vector<double>(9, 0.0));
  std::vector<double> b(3, -99);
  initialise_bias(Initialisation::zero, {1, 0, 0}, 3, b.data());
  EXPECT_EQ(b, std::vector<double>(3, 0.0));
}

TEST(Initialisation, NamesAreKnown) {
  const char* names[] = {"default", "xavier", "he", "orthogonal", "zero"};
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(initialisation_from(names[i]), static_cast<Initialisation>(i));
  EXPECT_EQ(initialisation_from("default"), Initialisation::fan_in);
  EXPECT_THROW(initialisation_from("normal"), Error);
}

}  // namespace
}  // namespace deeppcr::models
