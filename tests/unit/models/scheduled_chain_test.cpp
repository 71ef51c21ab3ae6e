#include "deeppcr/models/scheduled_chain.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/sequence/self_check.hpp"
#include "support/denoiser_problem.hpp"
#include "support/sampler_problem.hpp"

namespace deeppcr::models {
namespace {

using test::mixture;
using test::MixtureNetwork;
using test::sampler_config;

constexpr int kWidth = 5;
constexpr SamplerKind kKinds[] = {SamplerKind::ddpm, SamplerKind::ddim, SamplerKind::dpm_solver};
constexpr Prediction kPredictions[] = {Prediction::epsilon, Prediction::sample,
                                       Prediction::v_prediction};

/// Half of the noise where DDIM takes any.
std::vector<ScheduledStep> steps_of(const SamplerConfig& config, int count) {
  return scheduled_steps(config, count, config.kind == SamplerKind::ddim ? 0.5 : 0);
}

/// States 0..L one after another, [L + 1, B, width].
Buffer<Real> trajectory(const SamplerChain& chain) {
  const Index L = chain.num_steps(), B = chain.batch(), n = chain.width();
  Buffer<Real> z((L + 1) * B * n);
  const States all(z.data(), {L + 1, B, n});
  chain.start(all[0]);
  chain.propagate({0, L}, all[0], all.slice(1, L + 1));
  return z;
}

TEST(ScheduledChain, PassesTheDerivativeCheck) {
  for (const SamplerKind kind : kKinds) {
    for (const Prediction prediction : kPredictions) {
      for (const double clip : {0.5, double{INFINITY}}) {
        SamplerConfig config = sampler_config(kind);
        config.prediction = prediction;
        config.clip = clip;
        const MixtureNetwork network(config, mixture(3, kWidth));
        ScheduledChain chain(network, steps_of(config, 9), 2, 1);
        EXPECT_EQ(chain.width(), kind == SamplerKind::dpm_solver ? 10 : 5);
        EXPECT_EQ(chain.output().count, 5);
        const sequence::SelfCheck check = sequence::check_derivatives(chain, {0, 9}, 2, 3);
        EXPECT_TRUE(check.passed())
            << static_cast<int>(kind) << " clip " << clip << " jvp " << check.jvp_error << " vjp "
            << check.vjp_error << " blocks " << check.blocks_error << " value " << check.value_error
            << " samples " << check.samples_error;
      }
    }
  }
}

TEST(ScheduledChain, ARangeIsOneBatchToTheLastBit) {
  for (const SamplerKind kind : kKinds) {
    const SamplerConfig config = sampler_config(kind);
    const MixtureNetwork network(config, mixture(3, kWidth));
    const ScheduledChain chain(network, steps_of(config, 60), 3, 1);
    const Buffer<Real> z = trajectory(chain);
    EXPECT_EQ(network.calls, 60);
    Buffer<Real> out(60 * 3 * chain.width());
    const std::array<Index, 3> shape{60, 3, chain.width()};
    chain.value({0, 60}, {z.data(), shape}, {out.data(), shape});
    EXPECT_EQ(network.calls, 61);
    EXPECT_EQ(network.rows_evaluated, 2 * 60 * 3);
    for (Index i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], z[3 * chain.width() + i]);
    ASSERT_TRUE(std::isfinite(out[out.size() - 1]));
  }
}

TEST(ScheduledChain, DiagonalsAndPairsAreThoseOfTheBlocks) {
  for (const SamplerKind kind : kKinds) {
    const SamplerConfig config = sampler_config(kind);
    const MixtureNetwork network(config, mixture(3, kWidth));
    const ScheduledChain chain(network, steps_of(config, 6), 2, 1);
    const Index n = chain.width();
    const Buffer<Real> z = trajectory(chain);
    Buffer<Real> out(6 * 2 * n), D(out.size()), blocks(out.size() * n), columns(2 * out.size());
    const auto J = chain.linearise({0, 6}, {z.data(), {6, 2, n}}, {out.data(), {6, 2, n}});
    J->diagonals({1, 6}, {D.data(), {5, 2, n}});
    J->blocks({1, 6}, {blocks.data(), {5, 2, n, n}});
    const View<Real, 4> pairs(columns.data(), {5, 2, 2, n});
    const bool has_pairs = J->paired_diagonals({1, 6}, pairs);
    EXPECT_EQ(has_pairs, kind == SamplerKind::dpm_solver);
    for (Index row = 0; row < 10; ++row) {
      const View<Real, 2> A(blocks.data() + row * n * n, {n, n});
      for (Index i = 0; i < n; ++i) EXPECT_NEAR(D[row * n + i], A(i, i), 1e-12);
      for (Index j = 0; j < n && has_pairs; ++j) {
        const Real* column = columns.data() + (2 * row + j / kWidth) * n;
        EXPECT_NEAR(column[j % kWidth], A(j, j % kWidth), 1e-12);
        EXPECT_NEAR(column[kWidth + j % kWidth], A(j, kWidth + j % kWidth), 1e-12);
      }
    }
  }
}

// DPM-Solver++(2M) as the paper has it, against the chain of wide states.
TEST(ScheduledChain, TakesTheStepsOfDpmSolver) {
  SamplerConfig config = sampler_config(SamplerKind::dpm_solver);
  config.final_sigma = FinalSigma::sigma_min;
  const MixtureNetwork network(config, mixture(3, kWidth));
  constexpr int kSteps = 18;
  const ScheduledChain chain(network, scheduled_steps(config, kSteps), 1, 1);
  const Buffer<Real> z = trajectory(chain);
  const std::vector<double> signals = signals_of(config);
  std::vector<int> times = sampler_times(config, kSteps);
  times.push_back(0);
  std::vector<Real> x(z.begin(), z.begin() + kWidth), m0(kWidth), m1(kWidth), eps(kWidth);
  const auto alpha = [&](int k) {
    return std::sqrt(signals[static_cast<std::size_t>(times[static_cast<std::size_t>(k)])]);
  };
  const auto sigma = [&](int k) { return std::sqrt(1 - alpha(k) * alpha(k)); };
  const auto lambda = [&](int k) { return std::log(alpha(k)) - std::log(sigma(k)); };
  for (int k = 0; k < kSteps; ++k) {
    const std::int64_t time = times[static_cast<std::size_t>(k)];
    const Index sample = 0;
    network.evaluate({1, &time, &sample}, x.data(), eps.data());
    const double h = lambda(k + 1) - lambda(k), phi = std::exp(-h) - 1;
    for (std::size_t i = 0; i < kWidth; ++i) {
      m1[i] = m0[i];
      m0[i] = (x[i] - sigma(k) * eps[i]) / alpha(k);
      const double ratio = k > 0 ? (lambda(k) - lambda(k - 1)) / h : INFINITY;
      const double D1 = (m0[i] - m1[i]) / ratio;
      x[i] = sigma(k + 1) / sigma(k) * x[i] - alpha(k + 1) * phi * (m0[i] + 0.5 * D1);
      const Index at = (k + 1) * chain.width() + static_cast<Index>(i);
      EXPECT_NEAR(z[at], x[i], 1e-11 * (1 + std::abs(x[i])));
      EXPECT_NEAR(z[at + kWidth], m0[i], 1e-11 * (1 + std::abs(m0[i])));
    }
  }
}

// Of one Gaussian the Jacobians, and the guess without a drift, are exact.
TEST(ScheduledChain, KnowsItsJacobiansForGaussianData) {
  test::Mixture gaussian = mixture(1, kWidth);
  for (const SamplerKind kind : kKinds) {
    for (const Prediction prediction : kPredictions) {
      SamplerConfig config = sampler_config(kind);
      config.prediction = prediction;
      config.clip = INFINITY;
      const MixtureNetwork network(config, gaussian);
      const ScheduledChain chain(network, steps_of(config, 20), 1, 1,
                                 {gaussian.means[0], gaussian.variance});
      const Index n = chain.width();
      const Buffer<Real> z = trajectory(chain);
      Buffer<Real> guess(z.size()), out(20 * n), found(40 * n), known(40 * n);
      std::copy_n(z.data(), n, guess.data());
      EXPECT_EQ(chain.fill_guess({guess.data(), {21, 1, n}}), 0);
      const auto J = chain.linearise({0, 20}, {z.data(), {20, 1, n}}, {out.data(), {20, 1, n}});
      const auto which = sequence::KnownDiagonal::gaussian;
      const bool pairs = chain.known_pairs(which, {0, 20}, {known.data(), {20, 2, n}});
      EXPECT_EQ(pairs, !chain.known_diagonals(which, {0, 20}, {known.data(), {20, n}}));
      if (pairs) {
        J->paired_diagonals({0, 20}, {found.data(), {20, 1, 2, n}});
      } else {
        J->diagonals({0, 20}, {found.data(), {20, 1, n}});
      }
      for (Index i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], known[i], 1e-11);
      for (Index i = 0; i < z.size(); ++i) ASSERT_NEAR(guess[i], z[i], 1e-10);
    }
  }
}

TEST(ScheduledChain, ItsGuessHasTheNoiseOfEachSample) {
  test::Mixture centred = mixture(1, kWidth);
  centred.means[0].assign(kWidth, 0);
  SamplerConfig config = sampler_config(SamplerKind::ddpm);
  config.clip = INFINITY;
  const MixtureNetwork network(config, centred);
  const ScheduledChain chain(network, steps_of(config, 20), 3, 1, {{}, centred.variance});
  const Buffer<Real> z = trajectory(chain);
  Buffer<Real> guess(z.size());
  std::copy_n(z.data(), 3 * kWidth, guess.data());
  chain.fill_guess({guess.data(), {21, 3, kWidth}});
  for (Index i = 0; i < z.size(); ++i) ASSERT_NEAR(guess[i], z[i], 1e-10);
}

TEST(ScheduledChain, ItsLinearPartIsWhatTheNetworkDoesNotSay) {
  for (const SamplerKind kind : {SamplerKind::ddim, SamplerKind::dpm_solver}) {
    const SamplerConfig config = sampler_config(kind);
    const MixtureNetwork network(config, mixture(1, kWidth));
    const auto steps = steps_of(config, 8);
    const ScheduledChain chain(network, steps, 1, 1);
    Buffer<Real> known(2 * 8 * chain.width());
    const auto which = sequence::KnownDiagonal::linear_part;
    const bool pairs = chain.known_pairs(which, {0, 8}, {known.data(), {8, 2, chain.width()}});
    if (!pairs) chain.known_diagonals(which, {0, 8}, {known.data(), {8, kWidth}});
    for (Index l = 0; l < 8; ++l) {
      const ScheduledStep& s = steps[static_cast<std::size_t>(l)];
      const double x0 = 1 / std::sqrt(s.signal);  // of a noise that is held
      EXPECT_NEAR(known[l * (pairs ? 4 : 1) * kWidth], s.state + s.sample * x0, 1e-12);
      if (pairs) {
        EXPECT_NEAR(known[l * 4 * kWidth + kWidth], x0, 1e-12);
        EXPECT_EQ(known[l * 4 * kWidth + 2 * kWidth], s.previous);
        EXPECT_EQ(known[l * 4 * kWidth + 3 * kWidth], 0);
      }
    }
  }
}

TEST(ScheduledChain, ItsDriftReproducesTheStep) {
  for (const SamplerKind kind : kKinds) {
    const SamplerConfig config = sampler_config(kind);
    const MixtureNetwork network(config, mixture(3, kWidth));
    const ScheduledChain chain(network, steps_of(config, 20), 2, 1);
    const Index n = chain.width();
    const Buffer<Real> z = trajectory(chain);
    const ConstState from(z.data() + 7 * 2 * n, {2, n}), to(z.data() + 8 * 2 * n, {2, n});
    Buffer<Real> drift(2 * n), again(2 * n);
    ASSERT_TRUE(chain.drift(7, from, to, {drift.data(), {2, n}}));
    chain.extrapolate({7, 8}, from, {drift.data(), {2, n}}, {again.data(), {1, 2, n}});
    for (Index i = 0; i < again.size(); ++i) EXPECT_NEAR(again[i], to.data()[i], 1e-12);
    // As many coarse steps as there are steps: each by its own drift.
    Buffer<Real> guess(z.size());
    std::copy_n(z.data(), 2 * n, guess.data());
    EXPECT_EQ(chain.fill_guess({guess.data(), {21, 2, n}}, 20), 20);
    for (Index i = 0; i < z.size(); ++i) EXPECT_NEAR(guess[i], z[i], 1e-10);
  }
}

TEST(ScheduledChain, HasTheNoiseOfTheOtherSampler) {
  const Denoiser denoiser = test::tiny_denoiser();
  SamplerOptions options;
  options.steps = 20;
  options.eta = 1;
  options.seed = 9;
  const DenoisingChain other(denoiser, options, 3);
  const SamplerConfig config = sampler_config(SamplerKind::ddim);
  const MixtureNetwork network(config, mixture(3, kWidth));
  const auto steps = scheduled_steps(config, 20, 1);
  const ScheduledChain chain(network, steps, 3, 9);
  Buffer<Real> z(3 * kWidth), expected(3 * kWidth);
  chain.start({z.data(), {3, kWidth}});
  other.start({expected.data(), {3, kWidth}});
  for (Index i = 0; i < z.size(); ++i) EXPECT_EQ(z[i], expected[i]);
  for (Index l = 0; l < 19; ++l) {
    const double ratio =
        steps[static_cast<std::size_t>(l)].fresh / other.steps()[static_cast<std::size_t>(l)].fresh;
    for (Index i = 0; i < z.size(); ++i) {
      const Real xi = chain.inputs().at(l)[i];
      EXPECT_NEAR(xi, ratio * other.inputs().at(l)[i], 1e-14 * (1 + std::abs(xi)));
    }
  }
  EXPECT_EQ(ScheduledChain(network, scheduled_steps(config, 20), 3, 9).input_width(), 0);
}

TEST(ScheduledChain, RefusesMomentsThatNoDataHave) {
  const SamplerConfig config = sampler_config(SamplerKind::ddim);
  const MixtureNetwork network(config, mixture(3, kWidth));
  const auto make = [&](Moments moments) {
    ScheduledChain(network, scheduled_steps(config, 5), 1, 1, std::move(moments));
  };
  make({{}, std::vector<double>(kWidth, 0.0)});
  EXPECT_THROW(make({{1.0}, {}}), Error);
  EXPECT_THROW(make({{}, std::vector<double>(kWidth, -1.0)}), Error);
  EXPECT_THROW(make({std::vector<double>(kWidth, std::nan("")), {}}), Error);
}

}  // namespace
}  // namespace deeppcr::models
