#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/models/class_losses.hpp"

namespace deeppcr::models {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
/// Central differences of a smooth function of size one: rounding eps / h and truncation h^2
/// together.
constexpr double kStep = 1e-5;
constexpr double kDifferenceError = 100 * (kEps / kStep + kStep * kStep);

Buffer<Real> normal(Index count, std::uint64_t stream) {
  Buffer<Real> x(count);
  RandomStream(5, stream).normal(0, count, x.data());
  return x;
}

TEST(DenseLayer, ForwardIsWxPlusB) {
  DenseLayer layer(LayerRole::head, 3, 2, 1);
  // W = [1 2 3; 4 5 6], column-major, b = [10, 20]
  const double theta[] = {1, 4, 2, 5, 3, 6, 10, 20};
  ASSERT_EQ(layer.parameters().size(), 8);
  std::copy(std::begin(theta), std::end(theta), layer.parameters().begin());
  const double x[] = {1, 0, -1, 0, 2, 0};
  double y[4];
  layer.forward({x, {2, 3}}, {y, {2, 2}});
  EXPECT_EQ(y[0], 1 - 3 + 10);
  EXPECT_EQ(y[1], 4 - 6 + 20);
  EXPECT_EQ(y[2], 4 + 10);
  EXPECT_EQ(y[3], 10 + 20);
}

TEST(DenseLayer, StartsLikeNnLinear) {
  const DenseLayer embedding(LayerRole::embedding, 100, 8, 1);
  double largest = 0;
  for (const Real value : embedding.parameters()) largest = std::fmax(largest, std::fabs(value));
  EXPECT_LE(largest, 0.1);
  EXPECT_GT(largest, 0.09);
}

TEST(DenseLayer, EmbeddingAndHeadHaveTheirOwnNumbers) {
  constexpr LayerRole kRole = LayerRole::embedding;
  const DenseLayer embedding(kRole, 4, 4, 1), same(kRole, 4, 4, 1), other_seed(kRole, 4, 4, 2);
  const DenseLayer head(LayerRole::head, 4, 4, 1);
  EXPECT_EQ(embedding.rows()(0, 0), same.rows()(0, 0));
  EXPECT_NE(embedding.rows()(0, 0), other_seed.rows()(0, 0));
  EXPECT_NE(embedding.rows()(0, 0), head.rows()(0, 0));
}

TEST(DenseLayer, GradientIsThatOfCentralDifferences) {
  constexpr Index B = 3, in = 4, out = 2;
  DenseLayer layer(LayerRole::head, in, out, 1);
  Buffer<Real> x = normal(B * in, 1), y(B * out), dx(B * in);
  const Buffer<Real> g = normal(B * out, 2);
  Buffer<Real> dtheta(layer.parameters().size());
  layer.gradient({x.data(), {B, in}}, {g.data(), {B, out}}, {dtheta.data(), {dtheta.size()}},
                 {dx.data(), {B, in}});
  const auto slope = [&](Real& value) {
    const auto functional = [&] {
      layer.forward({x.data(), {B, in}}, {y.data(), {B, out}});
      double sum = 0;
      for (Index i = 0; i < y.size(); ++i) sum += g[i] * y[i];
      return sum;
    };
    const Real kept = value;
    value = kept + kStep;
    const double above = functional();
    value = kept - kStep;
    const double below = functional();
    value = kept;
    return (above - below) / (2 * kStep);
  };
  for (Index i = 0; i < dtheta.size(); ++i)
    EXPECT_NEAR(dtheta[i], slope(layer.parameters()(i)), kDifferenceError);
  for (Index i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], slope(x[i]), kDifferenceError);
}

TEST(DenseLayer, GradientOfAHeadIsThatOfCentralDifferences) {
  constexpr Index B = 3, n = 4, classes = 5;
  DenseLayer head(LayerRole::head, n, classes, 1);
  Buffer<Real> z = normal(B * n, 1), logits(B * classes), dz(B * n);
  Buffer<Real> dtheta(head.parameters().size());
  const std::vector<int> labels{4, 0, 2};
  const State logit_view{logits.data(), {B, classes}};
  const auto loss = [&](bool with_gradient = false) {
    head.forward({z.data(), {B, n}}, logit_view);
    return softmax_cross_entropy(logit_view, labels, with_gradient).loss;
  };
  const double with_gradient = loss(true);
  head.gradient({z.data(), {B, n}}, logit_view, {dtheta.data(), {dtheta.size()}},
                {dz.data(), {B, n}});
  EXPECT_EQ(loss(), with_gradient);
  const auto slope = [&](Real& value) {
    const Real kept = value;
    value = kept + kStep;
    const double above = loss();
    value = kept - kStep;
    const double below = loss();
    value = kept;
    return (above - below) / (2 * kStep);
  };
  for (Index i = 0; i < dtheta.size(); ++i)
    EXPECT_NEAR(dtheta[i], slope(head.parameters()(i)), kDifferenceError);
  for (Index i = 0; i < dz.size(); ++i) EXPECT_NEAR(dz[i], slope(z[i]), kDifferenceError);
}

TEST(SoftmaxCrossEntropy, EqualLogitsGiveLogOfTheClasses) {
  double logits[] = {7, 7, 7, 7};
  EXPECT_NEAR(softmax_cross_entropy({logits, {1, 4}}, {2}, false).loss, std::log(4.0), 4 * kEps);
  EXPECT_EQ(logits[0], 7);
}

TEST(SoftmaxCrossEntropy, IsStableForLogitsOfAnySize) {
  double logits[] = {1e300, 0, -1e300, -5e3, 5e3, 0};
  const LossReport report = softmax_cross_entropy({logits, {2, 3}}, {0, 0}, true);
  EXPECT_NEAR(report.loss, 1e4 / 2, 1e4 * kEps);
  EXPECT_EQ(report.correct, 1);
  const double expected[] = {0, 0, 0, -0.5, 0.5, 0};
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(logits[i], expected[i], kEps);
}

TEST(SoftmaxCrossEntropy, NaNGivesNaNAndNothingCorrect) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (int at = 0; at < 3; ++at) {
    double logits[] = {3, 2, 1};
    logits[at] = nan;
    const LossReport report = softmax_cross_entropy({logits, {1, 3}}, {0}, true);
    EXPECT_TRUE(std::isnan(report.loss));
    EXPECT_EQ(report.correct, 0);
  }
}

TEST(SoftmaxCrossEntropy, RefusesLabelsThatAreNoClasses) {
  double logits[] = {1, 2, 3};
  EXPECT_THROW(softmax_cross_entropy({logits, {1, 3}}, {3}, false), Error);
  EXPECT_THROW(softmax_cross_entropy({logits, {1, 3}}, {-1}, false), Error);
  EXPECT_THROW(softmax_cross_entropy({logits, {1, 3}}, {0, 1}, false), Error);
}

}  // namespace
}  // namespace deeppcr::models
