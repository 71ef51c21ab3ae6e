#include "deeppcr/blocks/activation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "deeppcr/core/error.hpp"

namespace deeppcr::blocks {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kEps = std::numeric_limits<double>::epsilon();

constexpr Activation kAll[] = {Activation::identity, Activation::tanh, Activation::relu,
                               Activation::silu,     Activation::gelu, Activation::sigmoid};

/// sigma and sigma' in extended precision, one number at a time.
long double sigma(Activation activation, long double a) {
  switch (activation) {
    case Activation::identity:
      return a;
    case Activation::tanh:
      return std::tanh(a);
    case Activation::relu:
      return a > 0 ? a : 0;
    case Activation::silu:
      return a / (1 + std::exp(-a));
    case Activation::gelu:
      return a * (1 + std::erf(a / std::sqrt(2.0L))) / 2;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-a));
  }
  return 0;
}

long double slope_of(Activation activation, long double a) {
  const long double pi = std::acos(-1.0L), p = 1 / (1 + std::exp(-a));
  switch (activation) {
    case Activation::identity:
      return 1;
    case Activation::tanh:
      return 1 - std::tanh(a) * std::tanh(a);
    case Activation::relu:
      return a > 0 ? 1 : 0;
    case Activation::silu:
      return p * (1 + a * (1 - p));
    case Activation::gelu:
      return (1 + std::erf(a / std::sqrt(2.0L))) / 2 + a * std::exp(-a * a / 2) / std::sqrt(2 * pi);
    case Activation::sigmoid:
      return p * (1 - p);
  }
  return 0;
}

std::vector<double> arguments() {
  std::vector<double> a;
  for (int i = -60; i <= 60; ++i) a.push_back(0.37 * i * (1 + 0.01 * i));
  for (const double tiny : {0.0, 1e-300, -1e-9, 1e-9}) a.push_back(tiny);
  return a;
}

TEST(Activation, AgreesWithExtendedPrecision) {
  const std::vector<double> a = arguments();
  for (const Activation activation : kAll) {
    std::vector<double> y(a.size()), y2(a.size()), slope(a.size());
    activate(activation, static_cast<Index>(a.size()), a.data(), y.data());
    activate_with_slope(activation, static_cast<Index>(a.size()), a.data(), y2.data(),
                        slope.data());
    for (std::size_t i = 0; i < a.size(); ++i) {
      // A few ulp of the vector functions, times the size of the factors: |a| and 1.
      const double bound = 16 * kEps * std::fmax(1, std::fabs(a[i]));
      EXPECT_NEAR(y[i], static_cast<double>(sigma(activation, a[i])), bound) << name(activation);
      EXPECT_NEAR(slope[i], static_cast<double>(slope_of(activation, a[i])), bound)
          << name(activation) << " at " << a[i];
      EXPECT_EQ(y[i], y2[i]) << name(activation);
    }
  }
}

TEST(Activation, SmallArgumentsKeepRelativeAccuracy) {
  const double a = 1e-12;
  double y = 0;
  activate(Activation::tanh, 1, &a, &y);
  EXPECT_NEAR(y / a, 1, 8 * kEps);
}

TEST(Activation, NaNStaysNaN) {
  for (const Activation activation : kAll) {
    // In a whole register and in a rest.
    std::vector<double> a(11, 0.5), y(11), slope(11);
    a[2] = a[10] = kNaN;
    activate_with_slope(activation, 11, a.data(), y.data(), slope.data());
    for (int i = 0; i < 11; ++i) {
      EXPECT_EQ(std::isnan(y[i]), std::isnan(a[i])) << name(activation) << " " << i;
      EXPECT_EQ(std::isnan(slope[i]), std::isnan(a[i])) << name(activation) << " " << i;
    }
    activate(activation, 11, a.data(), y.data());
    EXPECT_TRUE(std::isnan(y[2]) && std::isnan(y[10])) << name(activation);
  }
}

TEST(Activation, InfinitiesGiveTheLimits) {
  struct Limit {
    Activation activation;
    double low, high, low_slope, high_slope;
  };
  const Limit limits[] = {{Activation::identity, -kInfinity, kInfinity, 1, 1},
                          {Activation::tanh, -1, 1, 0, 0},
                          {Activation::relu, 0, kInfinity, 0, 1},
                          {Activation::silu, 0, kInfinity, 0, 1},
                          {Activation::gelu, 0, kInfinity, 0, 1}};
  for (const Limit& limit : limits) {
    for (const double size : {1e4, std::numeric_limits<double>::max(), kInfinity}) {
      const double a[2] = {-size, size};
      double y[2], slope[2];
      activate_with_slope(limit.activation, 2, a, y, slope);
      EXPECT_EQ(y[0], std::isinf(limit.low) ? -size : limit.low) << name(limit.activation);
      EXPECT_EQ(y[1], std::isinf(limit.high) ? size : limit.high) << name(limit.activation);
      EXPECT_EQ(slope[0], limit.low_slope) << name(limit.activation);
      EXPECT_EQ(slope[1], limit.high_slope) << name(limit.activation);
    }
  }
}

TEST(Activation, SlopesFollowFromValuesToTheSameBits) {
  std::vector<double> a = arguments();
  a.push_back(kNaN);
  for (const Activation activation : kAll) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{8}, a.size()}) {
      const double* first = a.data() + (a.size() - count);
      std::vector<double> y(count), slope(count), told(count);
      const auto size = static_cast<Index>(count);
      activate_with_slope(activation, size, first, y.data(), slope.data());
      if (!slope_from_value(activation, size, y.data(), told.data())) {
        EXPECT_TRUE(activation == Activation::silu || activation == Activation::gelu);
        continue;
      }
      for (std::size_t i = 0; i < count; ++i) {
        const bool same = told[i] == slope[i] || (std::isnan(told[i]) && std::isnan(slope[i]));
        EXPECT_TRUE(same) << name(activation) << " " << first[i];
      }
    }
  }
}

TEST(Activation, ReluSlopeAtZeroIsZero) {
  const double a[2] = {0.0, -0.0};
  double y[2], slope[2];
  activate_with_slope(Activation::relu, 2, a, y, slope);
  EXPECT_EQ(slope[0], 0);
  EXPECT_EQ(slope[1], 0);
}

// Results must not depend on where a sample lies in a batch, so not on the place in a vector
// register either.
TEST(Activation, DoesNotDependOnThePlaceInTheArray) {
  const std::vector<double> a = arguments();
  const auto count = static_cast<Index>(a.size());
  for (const Activation activation : kAll) {
    std::vector<double> y(a.size()), slope(a.size());
    activate_with_slope(activation, count, a.data(), y.data(), slope.data());
    for (Index i = 0; i < count; ++i) {
      double one = 0, one_slope = 0;
      activate_with_slope(activation, 1, &a[static_cast<std::size_t>(i)], &one, &one_slope);
      EXPECT_EQ(one, y[static_cast<std::size_t>(i)]) << name(activation);
      EXPECT_EQ(one_slope, slope[static_cast<std::size_t>(i)]) << name(activation);
    }
  }
}

TEST(Activation, WorksInPlace) {
  for (const Activation activation : kAll) {
    for (const Index count : {0, 1, 7, 8, 9, 33}) {
      std::vector<double> x, y(40), slope(40), slope2(40);
      for (Index i = 0; i < 40; ++i) x.push_back(0.3 * static_cast<double>(i) - 4);
      const std::vector<double> before = x;
      activate_with_slope(activation, count, x.data(), y.data(), slope.data());
      activate_with_slope(activation, count, x.data(), x.data(), slope2.data());
      for (Index i = 0; i < 40; ++i) {
        const auto at = static_cast<std::size_t>(i);
        EXPECT_EQ(x[at], i < count ? y[at] : before[at]) << name(activation);
        EXPECT_EQ(slope[at], slope2[at]) << name(activation);
      }
    }
  }
}

TEST(Activation, NamesAreKnownBothWays) {
  for (const Activation activation : kAll) EXPECT_EQ(activation_from(name(activation)), activation);
  EXPECT_THROW(activation_from("softmax"), Error);
  EXPECT_THROW(activation_from(""), Error);
}

}  // namespace
}  // namespace deeppcr::blocks
