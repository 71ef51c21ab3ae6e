#include "deeppcr/models/denoising_chain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/sequence/self_check.hpp"
#include "support/denoiser_problem.hpp"

namespace deeppcr::models {
namespace {

SamplerOptions sampler(int steps, double eta, NetworkPrecision precision, int classes,
                       Index batch) {
  SamplerOptions options;
  options.steps = steps;
  options.eta = eta;
  options.precision = precision;
  for (Index b = 0; b < batch && classes > 0; ++b)
    options.labels.push_back(static_cast<int>(b) % classes);
  return options;
}

TEST(DenoisingChain, PassesTheDerivativeCheck) {
  for (const int classes : {0, 3}) {
    const Denoiser denoiser = test::tiny_denoiser(classes);
    for (const double eta : {0.0, 0.5, 1.0}) {
      DenoisingChain chain(denoiser, sampler(9, eta, NetworkPrecision::float64, classes, 2), 2);
      const sequence::SelfCheck check = sequence::check_derivatives(chain, {0, 9}, 2, 3);
      EXPECT_TRUE(check.passed()) << "jvp " << check.jvp_error << " vjp " << check.vjp_error
                                  << " blocks " << check.blocks_error << " value "
                                  << check.value_error;
    }
  }
}

TEST(DenoisingChain, ARangeIsOneBatchToTheLastBit) {
  const Denoiser denoiser = test::tiny_denoiser();
  for (const NetworkPrecision precision : {NetworkPrecision::float32, NetworkPrecision::float64}) {
    constexpr Index kSteps = 150, kBatch = 2, kRow = kBatch * 5;
    const DenoisingChain chain(denoiser, sampler(kSteps, 1, precision, 0, kBatch), kBatch);
    Buffer<Real> z((kSteps + 1) * kRow), out(kSteps * kRow);
    chain.start({z.data(), {kBatch, 5}});
    chain.propagate({0, kSteps}, {z.data(), {kBatch, 5}}, {z.data() + kRow, {kSteps, kBatch, 5}});
    chain.value({0, kSteps}, {z.data(), {kSteps, kBatch, 5}}, {out.data(), {kSteps, kBatch, 5}});
    for (Index i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], z[kRow + i]);
    ASSERT_TRUE(std::isfinite(out[out.size() - 1]));
  }
}

TEST(DenoisingChain, ASamplesNoiseDoesNotDependOnTheOthers) {
  const Denoiser denoiser = test::tiny_denoiser();
  const auto last = [&](Index batch) {
    const DenoisingChain chain(denoiser, sampler(20, 1, NetworkPrecision::float64, 0, batch),
                               batch);
    Buffer<Real> z(21 * batch * 5);
    chain.start({z.data(), {batch, 5}});
    chain.propagate({0, 20}, {z.data(), {batch, 5}}, {z.data() + batch * 5, {20, batch, 5}});
    return std::vector<Real>(z.end() - batch * 5, z.end() - (batch - 1) * 5);
  };
  EXPECT_EQ(last(1), last(4));
}

TEST(DenoisingChain, SomeSamplesAloneTakeTheSameSteps) {
  const Denoiser denoiser = test::tiny_denoiser(3);
  constexpr Index kSteps = 4, kBatch = 5, kFirst = 1, kSome = 3;
  const DenoisingChain chain(denoiser, sampler(kSteps, 1, NetworkPrecision::float64, 3, kBatch),
                             kBatch);
  Buffer<Real> z((kSteps + 1) * kBatch * 5), some((kSteps + 1) * kSome * 5);
  const States all(z.data(), {kSteps + 1, kBatch, 5}), part(some.data(), {kSteps + 1, kSome, 5});
  chain.start(all[0]);
  chain.propagate({0, kSteps}, all[0], all.slice(1, kSteps + 1));
  std::copy_n(z.data() + kFirst * 5, kSome * 5, some.data());
  const sequence::FromSample from(chain, kFirst);
  from->propagate({0, kSteps}, part[0], part.slice(1, kSteps + 1));
  for (Index l = 0; l < kSteps; ++l) {
    for (Index i = 0; i < kSome * 5; ++i)
      ASSERT_EQ(part[l + 1].data()[i], all[l + 1].data()[kFirst * 5 + i]);
  }
  // A part of a part.
  const sequence::FromSample last(*from, kSome - 1);
  Buffer<Real> start(kSteps * 5), after(kSteps * 5);
  const std::array<Index, 3> one{kSteps, 1, 5};
  for (Index l = 0; l < kSteps; ++l)
    std::copy_n(part[l].data() + (kSome - 1) * 5, 5, start.data() + l * 5);
  Buffer<Real> linearised(kSteps * 5);
  last->value({0, kSteps}, {start.data(), one}, {after.data(), one});
  last->linearise({0, kSteps}, {start.data(), one}, {linearised.data(), one});
  for (Index l = 0; l < kSteps; ++l) {
    for (Index i = 0; i < 5; ++i) {
      ASSERT_EQ(after[l * 5 + i], part[l + 1].data()[(kSome - 1) * 5 + i]);
      ASSERT_NEAR(linearised[l * 5 + i], after[l * 5 + i],
                  1e-14 * (1 + std::abs(after[l * 5 + i])));
    }
  }
}

TEST(DenoisingChain, KnowsItsJacobiansForGaussianLatents) {
  // The untrained denoiser is right for Gaussian latents: its Jacobians are the diagonals it
  // states.
  const Denoiser denoiser({5, 8, 1, 2, 0}, NoiseSchedule(ScheduleKind::linear, 50), 1);
  const DenoisingChain chain(denoiser, sampler(50, 1, NetworkPrecision::float64, 0, 1), 1);
  Buffer<Real> z(51 * 5), guess(50 * 5), diagonals(50 * 5), known(50 * 5);
  const ConstState z0(z.data(), {1, 5});
  chain.start({z.data(), {1, 5}});
  const Buffer<Real> no_drift(5);
  chain.extrapolate({0, 50}, z0, {no_drift.data(), {1, 5}}, {guess.data(), {50, 1, 5}});
  const auto J = chain.linearise({0, 50}, {z.data(), {50, 1, 5}}, {z.data() + 5, {50, 1, 5}});
  chain.propagate({0, 50}, z0, {z.data() + 5, {50, 1, 5}});
  J->diagonals({0, 50}, {diagonals.data(), {50, 1, 5}});
  chain.known_diagonals(sequence::KnownDiagonal::gaussian, {0, 50}, {known.data(), {50, 5}});
  for (Index i = 0; i < 50 * 5; ++i) {
    ASSERT_NEAR(diagonals[i], known[i], 1e-14);
    ASSERT_NEAR(guess[i], z[5 + i], 1e-12);
  }
}

TEST(DenoisingChain, ItsDriftReproducesTheStep) {
  const Denoiser denoiser = test::tiny_denoiser();
  const DenoisingChain chain(denoiser, sampler(20, 1, NetworkPrecision::float64, 0, 2), 2);
  Buffer<Real> z(10), f(10), drift(10), again(10);
  chain.start({z.data(), {2, 5}});
  chain.value({7, 8}, {z.data(), {1, 2, 5}}, {f.data(), {1, 2, 5}});
  ASSERT_TRUE(chain.drift(7, {z.data(), {2, 5}}, {f.data(), {2, 5}}, {drift.data(), {2, 5}}));
  chain.extrapolate({7, 8}, {z.data(), {2, 5}}, {drift.data(), {2, 5}}, {again.data(), {1, 2, 5}});
  for (Index i = 0; i < 10; ++i) EXPECT_NEAR(again[i], f[i], 1e-14);
}

TEST(DenoisingChain, RefusesStepsAndLabelsThatAreNotThere) {
  const Denoiser plain = test::tiny_denoiser(), classes = test::tiny_denoiser(3);
  EXPECT_THROW(DenoisingChain(plain, sampler(201, 1, NetworkPrecision::float64, 0, 1), 1), Error);
  EXPECT_THROW(DenoisingChain(classes, sampler(5, 1, NetworkPrecision::float64, 0, 1), 1), Error);
  SamplerOptions wrong = sampler(5, 1, NetworkPrecision::float64, 0, 1);
  wrong.labels = {3};
  EXPECT_THROW(DenoisingChain(classes, wrong, 1), Error);
}

}  // namespace
}  // namespace deeppcr::models
