#include "deeppcr/models/scheduled_steps.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "deeppcr/core/error.hpp"
#include "support/sampler_problem.hpp"

namespace deeppcr::models {
namespace {

using test::sampler_config;

/// abar by its definition, with the betas of a function of time.
std::vector<double> signals_by(int T, const std::function<double(int)>& beta) {
  std::vector<double> signals;
  for (int t = 0; t < T; ++t) {
    double product = 1;
    for (int s = 0; s <= t; ++s) product *= 1 - beta(s);
    signals.push_back(product);
  }
  return signals;
}

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-13 * std::abs(expected[i])) << i;
}

TEST(SamplerConfig, HasTheSignalsOfPublishedModels) {
  SamplerConfig latent = sampler_config(SamplerKind::ddim);
  latent.beta_schedule = BetaSchedule::scaled_linear;
  latent.beta_start = 0.00085;
  latent.beta_end = 0.012;
  EXPECT_NEAR(signals_of(latent)[0], 0.99915, 5e-15);
  EXPECT_NEAR(signals_of(latent)[999], 0.0046601, 5e-8);
  EXPECT_NEAR(signals_of(sampler_config(SamplerKind::ddpm))[999], 4.0358e-5, 5e-10);
}

TEST(SamplerConfig, HasTheBetasOfEachSchedule) {
  SamplerConfig config = sampler_config(SamplerKind::ddim);
  config.train_steps = 20;
  config.beta_start = 0.01;
  config.beta_end = 0.3;
  expect_near(signals_of(config), signals_by(20, [](int t) { return 0.01 + t * 0.29 / 19; }));
  config.beta_schedule = BetaSchedule::scaled_linear;
  expect_near(signals_of(config), signals_by(20, [](int t) {
                return std::pow(0.1 + t * (std::sqrt(0.3) - 0.1) / 19, 2);
              }));
  config.beta_schedule = BetaSchedule::squaredcos_cap_v2;
  const auto f = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * M_PI / 2), 2); };
  expect_near(signals_of(config), signals_by(20, [&](int t) {
                return std::min(0.999, 1 - f((t + 1) / 20.0) / f(t / 20.0));
              }));
  config.train_steps = 3;
  config.trained_betas = {0.5, 0.25, 0.125};
  expect_near(signals_of(config), {0.5, 0.375, 0.328125});
  config.train_steps = 1;
  config.trained_betas = {};
  config.beta_schedule = BetaSchedule::linear;
  expect_near(signals_of(config), {0.99});
}

TEST(SamplerConfig, IsRescaledToNothingAtTheLastTime) {
  SamplerConfig config = sampler_config(SamplerKind::ddim);
  config.rescale_betas_zero_snr = true;
  config.train_steps = 3;
  config.trained_betas = {0.36, 0.4375, 0.75};  // sqrt(abar) = 0.8, 0.6, 0.3
  const std::vector<double> signals = signals_of(config);
  EXPECT_NEAR(signals[0], 0.64, 1e-15);
  EXPECT_NEAR(signals[1], 0.48 * 0.48, 1e-15);  // (0.6 - 0.3) 0.8 / 0.5
  EXPECT_EQ(signals[2], 0);
  config.kind = SamplerKind::dpm_solver;
  EXPECT_EQ(signals_of(config)[2], std::pow(2, -24));
}

std::vector<int> times(SamplerKind kind, Spacing spacing, int offset, int count, int T = 1000) {
  SamplerConfig config = sampler_config(kind);
  config.spacing = spacing;
  config.steps_offset = offset;
  config.train_steps = T;
  return sampler_times(config, count);
}

TEST(SamplerTimes, AreThoseOfEachSpacing) {
  for (const SamplerKind kind : {SamplerKind::ddim, SamplerKind::ddpm}) {
    const std::vector<int> leading = times(kind, Spacing::leading, 1, 50);
    const std::vector<int> trailing = times(kind, Spacing::trailing, 0, 50);
    ASSERT_EQ(leading.size(), 50U);
    for (int k = 0; k < 50; ++k) {
      EXPECT_EQ(leading[static_cast<std::size_t>(k)], 981 - 20 * k);
      EXPECT_EQ(trailing[static_cast<std::size_t>(k)], 999 - 20 * k);
    }
    EXPECT_EQ(times(kind, Spacing::linspace, 0, 5), (std::vector<int>{999, 749, 500, 250, 0}));
    EXPECT_EQ(times(kind, Spacing::leading, 0, 3), (std::vector<int>{666, 333, 0}));
    EXPECT_EQ(times(kind, Spacing::trailing, 0, 3), (std::vector<int>{999, 666, 332}));
    EXPECT_EQ(times(kind, Spacing::linspace, 0, 1), std::vector<int>{0});
    EXPECT_EQ(times(kind, Spacing::leading, 0, 4, 4), (std::vector<int>{3, 2, 1, 0}));
  }
  const SamplerKind solver = SamplerKind::dpm_solver;
  EXPECT_EQ(times(solver, Spacing::linspace, 0, 4), (std::vector<int>{999, 749, 500, 250}));
  EXPECT_EQ(times(solver, Spacing::leading, 1, 4), (std::vector<int>{801, 601, 401, 201}));
  EXPECT_EQ(times(solver, Spacing::trailing, 0, 4), (std::vector<int>{999, 749, 499, 249}));
}

TEST(SamplerTimes, BeginWhereLambdaIsLargeEnough) {
  SamplerConfig config = sampler_config(SamplerKind::dpm_solver);
  config.spacing = Spacing::linspace;
  config.beta_schedule = BetaSchedule::squaredcos_cap_v2;
  config.lambda_min_clipped = -3;
  const std::vector<double> signals = signals_of(config);
  const auto lambda = [&](int t) {
    const double signal = signals[static_cast<std::size_t>(t)];
    return std::log(std::sqrt(signal)) - std::log(std::sqrt(1 - signal));
  };
  const int first = sampler_times(config, 10).front();
  EXPECT_GE(lambda(first), -3);
  EXPECT_LT(lambda(first + 1), -3);
}

TEST(SamplerTimes, RefuseCountsThatDoNotFit) {
  const auto refused = [](SamplerKind kind, Spacing spacing, int offset, int count) {
    try {
      times(kind, spacing, offset, count);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  const SamplerKind ddim = SamplerKind::ddim, solver = SamplerKind::dpm_solver;
  const std::string range = " sampling steps: the model was trained on 1000 times; give 1 to 1000";
  EXPECT_EQ(refused(ddim, Spacing::leading, 0, 0), "0" + range);
  EXPECT_EQ(refused(ddim, Spacing::leading, 0, 1001), "1001" + range);
  EXPECT_NE(refused(ddim, Spacing::leading, 1, 1000).find("would be at time 1000, and"),
            std::string::npos);
  EXPECT_NE(refused(solver, Spacing::leading, 0, 1000).find("step 2 would be at time 0, and"),
            std::string::npos);
  EXPECT_NE(refused(solver, Spacing::linspace, 0, 1000).find("and times must fall from 999 to 0"),
            std::string::npos);
  EXPECT_EQ(refused(solver, Spacing::trailing, 0, 1000), "none");
  EXPECT_EQ(refused(ddim, Spacing::linspace, 0, 1000), "none");
}

// x0 and eps of each prediction are those of x = a x0 + s eps.
TEST(ScheduledSteps, PredictSampleAndNoise) {
  constexpr double kX0 = 0.7, kEps = -1.3;
  for (const Prediction prediction :
       {Prediction::epsilon, Prediction::sample, Prediction::v_prediction}) {
    SamplerConfig config = sampler_config(SamplerKind::ddim);
    config.prediction = prediction;
    config.set_alpha_to_one = false;
    for (const ScheduledStep& step : scheduled_steps(config, 20)) {
      const double a = std::sqrt(step.signal), s = std::sqrt(1 - step.signal);
      const double x = a * kX0 + s * kEps;
      const double output = prediction == Prediction::epsilon  ? kEps
                            : prediction == Prediction::sample ? kX0
                                                               : a * kEps - s * kX0;
      EXPECT_NEAR(step.x0_state * x + step.x0_output * output, kX0, 1e-13 / a);
      EXPECT_NEAR(step.eps_state * x + step.eps_output * output, kEps, 1e-13 / s);
      EXPECT_EQ(step.clip, 1);
    }
  }
}

TEST(ScheduledSteps, AreThoseOfDdim) {
  SamplerConfig config = sampler_config(SamplerKind::ddim);
  config.steps_offset = 1;
  const std::vector<double> signals = signals_of(config);
  for (const double eta : {0.0, 0.4, 1.0}) {
    for (const bool to_one : {true, false}) {
      config.set_alpha_to_one = to_one;
      const std::vector<ScheduledStep> steps = scheduled_steps(config, 30, eta);
      ASSERT_EQ(steps.size(), 30U);
      for (int k = 0; k < 30; ++k) {
        const ScheduledStep& step = steps[static_cast<std::size_t>(k)];
        const int t = 33 * (29 - k) + 1, to = t - 33;
        const double now = signals[static_cast<std::size_t>(t)];
        const double next = to >= 0  ? signals[static_cast<std::size_t>(to)]
                            : to_one ? 1
                                     : signals[0];
        const double variance = (1 - next) / (1 - now) * (1 - now / next);
        EXPECT_EQ(step.time, t);
        EXPECT_EQ(step.signal, now);
        EXPECT_NEAR(step.sample, std::sqrt(next), 1e-15);
        EXPECT_NEAR(step.noise, std::sqrt(1 - next - eta * eta * variance), 1e-12);
        EXPECT_NEAR(step.fresh, eta * std::sqrt(variance), 1e-14);
        EXPECT_EQ(step.state, 0);
        EXPECT_EQ(step.previous, 0);
      }
    }
  }
}

TEST(ScheduledSteps, AreThoseOfDdpm) {
  SamplerConfig config = sampler_config(SamplerKind::ddpm);
  const std::vector<double> signals = signals_of(config);
  for (const FreshVariance variance : {FreshVariance::fixed_small, FreshVariance::fixed_large}) {
    for (const int offset : {0, 1}) {
      config.variance = variance;
      config.steps_offset = offset;
      const std::vector<ScheduledStep> steps = scheduled_steps(config, 40);
      for (int k = 0; k < 40; ++k) {
        const ScheduledStep& step = steps[static_cast<std::size_t>(k)];
        const int t = 25 * (39 - k) + offset;
        const double now = signals[static_cast<std::size_t>(t)];
        const double next = k < 39 ? signals[static_cast<std::size_t>(t - 25)] : 1;
        const double a = now / next, b = 1 - a;
        const double posterior = b * (1 - next) / (1 - now);
        const bool small = variance == FreshVariance::fixed_small;
        EXPECT_EQ(step.time, t);
        EXPECT_NEAR(step.sample, std::sqrt(next) * b / (1 - now), 1e-13);
        EXPECT_NEAR(step.state, std::sqrt(a) * (1 - next) / (1 - now), 1e-13);
        EXPECT_NEAR(step.fresh, t == 0 ? 0 : std::sqrt(small ? posterior : b), 1e-13);
        EXPECT_EQ(step.noise, 0);
        EXPECT_EQ(step.eps_output, 0);
      }
    }
  }
}

/// Abscissa and derivative of the log of signal over noise, as DPM-Solver++ has them.
struct Level {
  explicit Level(double signal)
      : alpha(std::sqrt(signal)),
        sigma(std::sqrt(1 - signal)),
        lambda(std::log(alpha) - std::log(sigma)) {}
  double alpha, sigma, lambda;
};

TEST(ScheduledSteps, AreThoseOfDpmSolver) {
  SamplerConfig config = sampler_config(SamplerKind::dpm_solver);
  config.spacing = Spacing::linspace;
  const std::vector<double> signals = signals_of(config);
  const struct {
    int order, count;
    bool lower, euler;
    FinalSigma final_sigma;
    bool last_is_second;
  } kCases[] = {{1, 20, true, false, FinalSigma::zero, false},
                {2, 20, true, false, FinalSigma::zero, false},
                {2, 14, true, false, FinalSigma::sigma_min, false},
                {2, 15, true, false, FinalSigma::sigma_min, true},
                {2, 5, false, false, FinalSigma::sigma_min, true},
                {2, 20, false, true, FinalSigma::sigma_min, false}};
  for (const auto& c : kCases) {
    config.solver_order = c.order;
    config.lower_order_final = c.lower;
    config.euler_at_final = c.euler;
    config.final_sigma = c.final_sigma;
    const std::vector<ScheduledStep> steps = scheduled_steps(config, c.count);
    for (int k = 0; k < c.count; ++k) {
      const ScheduledStep& step = steps[static_cast<std::size_t>(k)];
      const bool last = k + 1 == c.count;
      const Level s(step.signal);
      EXPECT_EQ(step.signal, signals[static_cast<std::size_t>(step.time)]);
      if (last && c.final_sigma == FinalSigma::zero) {
        EXPECT_EQ(step.state, 0);
        EXPECT_EQ(step.sample, 1);
        EXPECT_EQ(step.previous, 0);
        continue;
      }
      const Level t(last ? signals[0] : steps[static_cast<std::size_t>(k + 1)].signal);
      const double h = t.lambda - s.lambda, phi = std::exp(-h) - 1;
      double D1 = 0;  // its factor of m0; that of m1 is -D1
      if (c.order == 2 && k > 0 && (!last || c.last_is_second)) {
        const Level before(steps[static_cast<std::size_t>(k - 1)].signal);
        D1 = h / (s.lambda - before.lambda);
      }
      EXPECT_NEAR(step.state, t.sigma / s.sigma, 1e-13);
      EXPECT_NEAR(step.sample, -t.alpha * phi - 0.5 * t.alpha * phi * D1, 1e-12);
      EXPECT_NEAR(step.previous, 0.5 * t.alpha * phi * D1, 1e-12);
      EXPECT_EQ(step.fresh, 0);
    }
  }
}

/// A trajectory of the steps with a network that predicts a nonlinear function of x and time.
std::vector<double> trajectory(const std::vector<ScheduledStep>& steps) {
  std::vector<double> found{1.1};
  double before = 0;
  for (const ScheduledStep& step : steps) {
    const double x = found.back(), o = std::sin(x + 1e-3 * static_cast<double>(step.time));
    const double x0 = std::clamp(step.x0_state * x + step.x0_output * o, -step.clip, step.clip);
    const double eps = step.eps_state * x + step.eps_output * o;
    found.push_back(step.state * x + step.sample * x0 + step.noise * eps + step.previous * before);
    before = x0;
  }
  return found;
}

TEST(ScheduledSteps, OfDdimAreDpmSolversOfOrderOne) {
  SamplerConfig ddim = sampler_config(SamplerKind::ddim);
  ddim.clip = std::numeric_limits<double>::infinity();
  ddim.spacing = Spacing::trailing;
  SamplerConfig solver = ddim;
  solver.kind = SamplerKind::dpm_solver;
  solver.solver_order = 1;
  const auto expected = trajectory(scheduled_steps(ddim, 50, 0));
  const auto found = trajectory(scheduled_steps(solver, 50));
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-12 * std::max(1.0, std::abs(expected[i])));
}

// With eta 1, DDIM has DDPM's posterior.
TEST(ScheduledSteps, OfDdpmAreDdimsWithAllTheNoise) {
  SamplerConfig ddim = sampler_config(SamplerKind::ddim), ddpm = sampler_config(SamplerKind::ddpm);
  ddim.clip = ddpm.clip = std::numeric_limits<double>::infinity();
  const auto one = scheduled_steps(ddim, 50, 1), other = scheduled_steps(ddpm, 50);
  const auto expected = trajectory(one), found = trajectory(other);
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-11 * std::max(1.0, std::abs(expected[i])));
  for (std::size_t k = 0; k < one.size(); ++k) EXPECT_NEAR(one[k].fresh, other[k].fresh, 1e-13);
}

TEST(ScheduledSteps, RefuseWhatCannotBe) {
  SamplerConfig config = sampler_config(SamplerKind::ddim);
  EXPECT_THROW(scheduled_steps(config, 10, 1.5), Error);
  EXPECT_THROW(scheduled_steps(config, 10, std::nan("")), Error);
  EXPECT_THROW(scheduled_steps(sampler_config(SamplerKind::ddpm), 10, 0.5), Error);
  config.rescale_betas_zero_snr = true;
  config.spacing = Spacing::trailing;
  EXPECT_THROW(scheduled_steps(config, 10), Error);
  config.prediction = Prediction::v_prediction;
  EXPECT_EQ(scheduled_steps(config, 10).front().x0_state, 0);
}

}  // namespace
}  // namespace deeppcr::models
