// The area under the ROC curve as a saddle point: where it is, what it is worth, its gradients.
#include "deeppcr/models/auc_loss.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {
namespace {

constexpr Index kSteps = 3, kSamples = 40;
constexpr int kWidth = 5;

/// States, and which samples are positive.
struct Samples {
  Samples() : z(kSteps * kSamples * kWidth) {
    RandomStream(1, 7).normal(0, z.size(), z.data());
    for (Index s = 0; s < kSamples; ++s) labels.push_back(s % 5 == 1 || s == 3 ? 1 : 0);
  }
  Real share() const {
    Real positives = 0;
    for (const int label : labels) positives += label;
    return positives / kSamples;
  }
  LossData data(StepRange local = {0, kSteps}) const {
    LossData data;
    data.local = local;
    data.states = {z.data() + local.first * kSamples * kWidth, {local.size(), kSamples, kWidth}};
    data.samples = kSamples;
    data.labels = labels;
    data.positive_share = share();
    return data;
  }

  Buffer<Real> z;
  std::vector<int> labels;
};

Real& number(AucLoss& loss, std::size_t group, Index i) {
  return loss.parameters()[group].values.data()[i];
}

// a, b the class means, alpha = b - a: mean over pairs
TEST(AucLoss, AtTheSaddlePointIsTheMeanOverPairs) {
  for (const LossAt at : {LossAt::last, LossAt::rate}) {
    AucLoss loss({kSteps, kWidth, 2, 1}, at);
    const Samples samples;
    LossData data = samples.data();
    Buffer<Real> sums(loss.num_sums(kSamples));
    loss.add_sums(data, sums.data());
    data.sums = sums.data();
    const std::vector<Real> h = loss.scores(data);
    ASSERT_EQ(h.size(), static_cast<std::size_t>(kSamples));
    const Real p = samples.share();
    Real mean[2] = {0, 0}, pairs = 0;
    for (std::size_t i = 0; i < h.size(); ++i) {
      const bool positive = samples.labels[i] == 1;
      mean[positive ? 0 : 1] += h[i] / (kSamples * (positive ? p : 1 - p));
      for (std::size_t j = 0; positive && j < h.size(); ++j)
        if (samples.labels[j] == 0)
          pairs += std::pow(1 - (h[i] - h[j]), 2) / (kSamples * p * kSamples * (1 - p));
    }
    number(loss, 1, 0) = mean[0];
    number(loss, 1, 1) = mean[1];
    number(loss, 2, 0) = mean[1] - mean[0];
    Buffer<Real> by_states(data.states.size()), by_head(12), by_centres(2), by_dual(1);
    LossGradients into{
        {by_states.data(), data.states.shape()},
        {{by_head.data(), {6, 2}}, {by_centres.data(), {1, 2}}, {by_dual.data(), {1, 1}}}};
    if (at == LossAt::last) into.states = {by_states.data(), {1, kSamples, kWidth}};
    const LossReport report = loss.evaluate(data, &into);
    EXPECT_NEAR(report.loss, p * (1 - p) * pairs, 1e-12);
    for (const Real slope : {by_centres[0], by_centres[1], by_dual[0]})
      EXPECT_NEAR(slope, 0, 1e-12);
    EXPECT_EQ(report.counted, kSamples);
    // least by a and b, largest by alpha
    for (const std::size_t group : {1u, 2u}) {
      number(loss, group, 0) += 0.5;
      const Real moved = loss.evaluate(data, nullptr).loss;
      EXPECT_EQ(moved > report.loss, group == 1);
      number(loss, group, 0) -= 0.5;
    }
  }
}

TEST(AucLoss, GradientIsThatOfCentralDifferences) {
  constexpr Real kStep = 1e-5;
  for (const LossAt at : {LossAt::last, LossAt::each}) {
    AucLoss loss({kSteps, kWidth, 2, 1}, at);
    Samples samples;
    number(loss, 1, 0) = 0.3;
    number(loss, 1, 1) = -0.2;
    number(loss, 2, 0) = -0.7;
    const Index rows = at == LossAt::each ? kSteps : 1;
    Buffer<Real> by_states(rows * kSamples * kWidth), by_head(12), by_centres(2), by_dual(1);
    LossData data = samples.data();
    data.weight = 0.5;
    const LossGradients into{
        {by_states.data(), {rows, kSamples, kWidth}},
        {{by_head.data(), {6, 2}}, {by_centres.data(), {1, 2}}, {by_dual.data(), {1, 1}}}};
    const Real value = loss.evaluate(data, &into).loss;
    EXPECT_NEAR(loss.evaluate(data, nullptr).loss, value, 1e-14);
    const auto expect_slope = [&](Real& number, Real found) {
      const Real was = number;
      number = was + kStep;
      const Real above = loss.evaluate(data, nullptr).loss;
      number = was - kStep;
      const Real below = loss.evaluate(data, nullptr).loss;
      number = was;
      EXPECT_NEAR(found, (above - below) / (2 * kStep), 1e-9);
    };
    const Buffer<Real>* gradients[] = {&by_head, &by_centres, &by_dual};
    for (std::size_t g = 0; g < 3; ++g)
      for (Index i = 0; i < gradients[g]->size(); ++i)
        expect_slope(number(loss, g, i), (*gradients[g])[i]);
    const Index before = samples.z.size() - by_states.size();
    for (Index i = 0; i < by_states.size(); i += 7)
      expect_slope(samples.z[before + i], by_states[i]);
  }
}

TEST(AucLoss, PartsAddUp) {
  AucLoss loss({kSteps, kWidth, 2, 1}, LossAt::each);
  number(loss, 2, 0) = 0.4;
  const Samples samples;
  const Real whole = loss.evaluate(samples.data(), nullptr).loss;
  const Real parts = loss.evaluate(samples.data({0, 1}), nullptr).loss +
                     loss.evaluate(samples.data({1, kSteps}), nullptr).loss;
  EXPECT_NEAR(parts, whole, 1e-14);
}

TEST(AucLoss, TakesSamplesAboveTheMiddleOfTheCentresForPositive) {
  AucLoss loss({kSteps, kWidth, 2, 1});
  number(loss, 1, 0) = 1.5;
  number(loss, 1, 1) = -0.5;
  const Samples samples;
  const LossData data = samples.data();
  const std::vector<int> taken = loss.classify(data);
  const std::vector<Real> h = loss.scores(data);
  Index correct = 0;
  for (std::size_t s = 0; s < taken.size(); ++s) {
    EXPECT_EQ(taken[s], h[s] > 0.5 ? 1 : 0);
    correct += taken[s] == samples.labels[s] ? 1 : 0;
  }
  EXPECT_EQ(loss.evaluate(data, nullptr).correct, correct);
}

TEST(AucLoss, RefusesWhatIsNotOfTwoClasses) {
  EXPECT_THROW(AucLoss({kSteps, kWidth, 3, 1}), Error);
  AucLoss loss({kSteps, kWidth, 2, 1});
  const Samples samples;
  LossData data = samples.data();
  data.positive_share = 0;
  EXPECT_THROW(loss.evaluate(data, nullptr), Error);
}

TEST(AucLoss, ItsNumbersAreOfTheirOwnKind) {
  const AucLoss loss({kSteps, kWidth, 2, 1});
  EXPECT_EQ(loss.kind(0), ParameterKind::weight);
  EXPECT_EQ(loss.kind(1), ParameterKind::primal);
  EXPECT_EQ(loss.kind(2), ParameterKind::dual);
}

}  // namespace
}  // namespace deeppcr::models
