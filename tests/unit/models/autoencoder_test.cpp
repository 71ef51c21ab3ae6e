#include "deeppcr/models/autoencoder.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {
namespace {

constexpr AutoencoderShape kShape{12, 3, 8, 2};
constexpr Index kSamples = 40;

Buffer<Real> images() {
  Buffer<Real> x(kSamples * kShape.pixels);
  RandomStream(6, 1).uniform(0, x.size(), x.data());
  return x;
}

ConstState view(const Buffer<Real>& x) { return {x.data(), {kSamples, x.size() / kSamples}}; }

TEST(Autoencoder, ItsGradientAgreesWithDifferences) {
  Autoencoder model(kShape, 2);
  const Buffer<Real> x = images();
  Buffer<Real> jitter(kSamples * kShape.latent), gradient(model.parameters().size()),
      direction(gradient.size());
  RandomStream(6, 2).normal(0, jitter.size(), jitter.data());
  RandomStream(6, 3).normal(0, direction.size(), direction.data());
  model.loss(view(x), view(jitter), 0.1, {gradient.data(), {gradient.size()}});
  double along = 0;
  for (Index i = 0; i < gradient.size(); ++i) along += gradient[i] * direction[i];
  constexpr double kStep = 1e-5;
  const auto moved = [&](double step) {
    Autoencoder other(kShape, 2);
    for (Index i = 0; i < direction.size(); ++i)
      other.parameters().data()[i] += step * direction[i];
    return other.loss(view(x), view(jitter), 0.1, {});
  };
  const double difference = (moved(kStep) - moved(-kStep)) / (2 * kStep);
  EXPECT_NEAR(along, difference, 1e-6 * std::abs(difference));
}

TEST(Autoencoder, WhiteningChangesLatentsNotImages) {
  Autoencoder model(kShape, 2);
  const Buffer<Real> x = images();
  Buffer<Real> latents(kSamples * kShape.latent), before(x.size()), after(x.size());
  const State z(latents.data(), {kSamples, kShape.latent});
  const auto through = [&](Buffer<Real>& out) {
    model.encode(view(x), z);
    model.decode(z, {out.data(), {kSamples, kShape.pixels}});
  };
  through(before);
  model.whiten(z);
  through(after);
  for (Index i = 0; i < x.size(); ++i) ASSERT_NEAR(after[i], before[i], 1e-10);
  for (int i = 0; i < kShape.latent; ++i) {
    for (int j = 0; j <= i; ++j) {
      double mean = 0, product = 0;
      for (Index s = 0; s < kSamples; ++s) {
        mean += z(s, i) / kSamples;
        product += z(s, i) * z(s, j) / kSamples;
      }
      EXPECT_NEAR(mean, 0, 1e-9);
      EXPECT_NEAR(product, i == j ? 1 : 0, 1e-8);
    }
  }
}

TEST(Autoencoder, RefusesLatentsWithoutVariance) {
  Autoencoder model(kShape, 2);
  const Buffer<Real> same(kSamples * kShape.latent);
  EXPECT_THROW(model.whiten(view(same)), Error);
}

}  // namespace
}  // namespace deeppcr::models
