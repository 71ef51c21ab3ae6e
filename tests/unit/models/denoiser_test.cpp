#include "deeppcr/models/denoiser.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/models/packed_denoiser.hpp"
#include "support/denoiser_problem.hpp"

namespace deeppcr::models {
namespace {

constexpr Index kSamples = 7;

struct Batch {
  explicit Batch(const Denoiser& denoiser)
      : x(kSamples * denoiser.shape().latent), noise(x.size()) {
    const Index n = denoiser.shape().latent;
    RandomStream(3, 1).normal(0, x.size(), x.data());
    RandomStream(3, 2).normal(0, x.size(), noise.data());
    samples.x = {x.data(), {kSamples, n}};
    samples.noise = {noise.data(), {kSamples, n}};
    const RandomStream random(3, 3);
    for (Index s = 0; s < kSamples; ++s) {
      samples.times.push_back(1 + static_cast<int>(random.integer(s, denoiser.schedule().steps())));
      if (denoiser.shape().classes > 0)
        samples.labels.push_back(static_cast<int>(s) % denoiser.shape().classes);
    }
  }
  Buffer<Real> x, noise;
  Denoiser::Samples samples;
};

TEST(NoiseSchedule, ForgetsTheSignalStepByStep) {
  for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
    for (const int T : {1, 2, 1000}) {
      const NoiseSchedule schedule(kind, T);
      EXPECT_EQ(schedule.signal(0), 1);
      for (int t = 1; t <= T; ++t) ASSERT_LT(schedule.signal(t), schedule.signal(t - 1));
      if (T == 1000) {
        EXPECT_LT(schedule.signal(T), 1e-3);
      }
    }
  }
  EXPECT_THROW(NoiseSchedule(ScheduleKind::linear, 0), Error);
}

TEST(SamplerStep, IsTheOneOfDdpmForNeighbouringTimes) {
  const NoiseSchedule schedule(ScheduleKind::linear, 1000);
  for (const int t : {2, 500, 1000}) {
    // Ho et al., eq. 11: (x - beta / sqrt(1 - abar_t) eps) / sqrt(alpha), posterior variance
    const double alpha = schedule.signal(t) / schedule.signal(t - 1), beta = 1 - alpha;
    const SamplerStep step = sampler_step(schedule, t, t - 1, 1);
    EXPECT_NEAR(step.state, 1 / std::sqrt(alpha), 1e-14);
    EXPECT_NEAR(step.noise_estimate, -beta / std::sqrt(schedule.noise(t) * alpha), 1e-11);
    EXPECT_NEAR(step.fresh * step.fresh, beta * schedule.noise(t - 1) / schedule.noise(t), 1e-14);
    EXPECT_EQ(sampler_step(schedule, t, t - 1, 0).fresh, 0);
  }
  const auto few = sampler_steps(schedule, 7, 0);
  EXPECT_EQ(few.size(), 7U);
  EXPECT_EQ(few.front().time, 1000);
  EXPECT_THROW(sampler_steps(schedule, 1001, 0), Error);
}

TEST(Denoiser, ItsGradientAgreesWithDifferences) {
  for (const int classes : {0, 3}) {
    Denoiser denoiser = test::tiny_denoiser(classes);
    const Batch batch(denoiser);
    const View<Real, 1> theta = denoiser.parameters();
    Buffer<Real> gradient(theta.size());
    denoiser.loss(batch.samples, {gradient.data(), {gradient.size()}});
    // along a random direction, and one parameter in each part
    constexpr double kStep = 1e-5;
    Buffer<Real> direction(theta.size());
    RandomStream(4, 1).normal(0, direction.size(), direction.data());
    double along = 0;
    for (Index i = 0; i < theta.size(); ++i) along += gradient[i] * direction[i];
    const auto moved = [&](double step) {
      for (Index i = 0; i < theta.size(); ++i) theta.data()[i] += step * direction[i];
      const double loss = denoiser.loss(batch.samples, {});
      for (Index i = 0; i < theta.size(); ++i) theta.data()[i] -= step * direction[i];
      return loss;
    };
    const double difference = (moved(kStep) - moved(-kStep)) / (2 * kStep);
    EXPECT_NEAR(along, difference, 1e-6 * std::abs(difference) + 1e-8);
  }
}

template <typename T>
void expect_packed_says_the_same(const Denoiser& denoiser, double tolerance) {
  Batch batch(denoiser);
  const Index n = denoiser.shape().latent;
  const PackedDenoiser<T> packed(denoiser, batch.samples.times,
                                 std::vector<int>(denoiser.shape().classes > 0 ? 1 : 0, 2));
  if (denoiser.shape().classes > 0) batch.samples.labels.assign(kSamples, 2);
  Buffer<Real> eps(batch.x.size());
  packed.evaluate({0, kSamples}, {batch.x.data(), {kSamples, 1, n}},
                  {eps.data(), {kSamples, 1, n}});
  batch.samples.noise = {eps.data(), {kSamples, n}};
  EXPECT_LT(std::sqrt(denoiser.loss(batch.samples, {})), tolerance);
}

TEST(PackedDenoiser, SaysWhatTheDenoiserSays) {
  for (const int classes : {0, 3}) {
    expect_packed_says_the_same<double>(test::tiny_denoiser(classes), 1e-14);
    expect_packed_says_the_same<float>(test::tiny_denoiser(classes), 1e-6);
  }
}

TEST(Denoiser, StartsAsTheBestLinearOne) {
  const Denoiser denoiser({}, NoiseSchedule(ScheduleKind::cosine, 10), 1);
  Batch batch(denoiser);
  Buffer<Real> linear(batch.x.size());
  for (Index i = 0; i < linear.size(); ++i)
    linear[i] = denoiser.skip(batch.samples.times[static_cast<std::size_t>(i / 32)]) * batch.x[i];
  batch.samples.noise = {linear.data(), {kSamples, 32}};
  EXPECT_EQ(denoiser.loss(batch.samples, {}), 0);
}

TEST(Denoiser, RefusesSizesWithoutSense) {
  DenoiserShape shape;
  shape.hidden = 0;
  EXPECT_THROW(Denoiser(shape, NoiseSchedule(ScheduleKind::linear, 10), 1), Error);
}

}  // namespace
}  // namespace deeppcr::models
