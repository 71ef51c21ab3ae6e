#include <gtest/gtest.h>

#include <string>

#include "deeppcr/models/scheduled_chain.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/nonlinear/windowed.hpp"
#include "support/environment.hpp"
#include "support/random_chain.hpp"
#include "support/sampler_problem.hpp"

namespace deeppcr::nonlinear {
namespace {

using models::SamplerKind;
using test::world;

constexpr Index kBatch = 3;
constexpr int kWidth = 5;

/// A published sampler over the exact denoiser of a mixture, with its sequential trajectory.
struct Sampling {
  Sampling(const models::SamplerConfig& config, int steps, double eta)
      : network(config, test::mixture(3, kWidth)),
        chain(network, models::scheduled_steps(config, steps, eta), kBatch, 1),
        trajectory(world(), parallel::BlockLayout::replicated(steps, world().size()), kBatch,
                   chain.width()),
        expected((steps + 1) * kBatch * chain.width()) {
    const States z(expected.data(), {steps + 1, kBatch, chain.width()});
    chain.start(z[0]);
    propagate_samples(world(), chain, z);
    restart();
  }
  void restart() {
    chain.start(trajectory.input());
    chain.fill_guess(trajectory.whole());
    network.rows_evaluated = 0;
  }
  double error() {
    return test::relative_difference(world(), trajectory.whole().data(), expected.data(),
                                     expected.size());
  }
  /// By all ranks.
  double rows() const { return world().sum(static_cast<double>(network.rows_evaluated)); }

  test::MixtureNetwork network;
  models::ScheduledChain chain;
  sequence::Trajectory trajectory;
  Buffer<Real> expected;
};

WindowedOptions sampler(Jacobian jacobian, Index window = 0) {
  WindowedOptions options;
  options.sampler = true;
  options.jacobian = jacobian;
  options.window = window;
  return options;
}

struct Case {
  const char* name;
  models::SamplerConfig config;
  double eta = 0;
};

/// Each class with each of its kinds of steps.
std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const char* name, SamplerKind kind, double eta) -> models::SamplerConfig& {
    all.push_back({name, test::sampler_config(kind), eta});
    return all.back().config;
  };
  add("ddpm", SamplerKind::ddpm, 0);
  add("ddpm, large variance", SamplerKind::ddpm, 0).variance = models::FreshVariance::fixed_large;
  add("ddim", SamplerKind::ddim, 0);
  add("ddim, noise", SamplerKind::ddim, 1);
  models::SamplerConfig& v = add("ddim, v", SamplerKind::ddim, 0);
  v.prediction = models::Prediction::v_prediction;
  v.rescale_betas_zero_snr = true;
  v.spacing = models::Spacing::trailing;
  add("dpm-solver 1", SamplerKind::dpm_solver, 0).solver_order = 1;
  add("dpm-solver 2", SamplerKind::dpm_solver, 0);
  return all;
}

TEST(Sampling, AllJacobiansEndInTheSequentialTrajectory) {
  constexpr struct {
    int steps;
    Index window;
  } kSizes[] = {{1, 0}, {13, 0}, {20, 6}};
  for (const Case& c : cases()) {
    for (const auto& [steps, window] : kSizes) {
      Sampling sampling(c.config, steps, c.eta);
      for (const Jacobian jacobian : {Jacobian::linear_part, Jacobian::gaussian, Jacobian::diagonal,
                                      Jacobian::probe, Jacobian::dense}) {
        sampling.restart();
        Windowed solver(sampler(jacobian, window));
        const SolveReport report = solver.solve(sampling.chain, sampling.trajectory);
        const std::string what = fmt::format("{}, {}, {} steps", c.name, name(jacobian), steps);
        EXPECT_EQ(report.status, Status::converged) << what << report.reason;
        EXPECT_LT(sampling.error(), 1e-8) << what;
        EXPECT_LE(report.iterations, steps) << what;
        EXPECT_EQ(sampling.rows(), static_cast<double>(report.evaluations * kBatch)) << what;
      }
    }
  }
}

/// Sweeps over all of 60 steps.
int sweeps(const std::string& word, Jacobian jacobian) {
  for (const Case& c : cases()) {
    if (word != c.name) continue;
    Sampling sampling(c.config, 60, c.eta);
    return Windowed(sampler(jacobian)).solve(sampling.chain, sampling.trajectory).iterations;
  }
  return 0;
}

TEST(Sampling, BetterJacobiansNeedFewerSweeps) {
  for (const char* word : {"ddim", "dpm-solver 2"}) {
    const int exact = sweeps(word, Jacobian::diagonal),
              linear = sweeps(word, Jacobian::linear_part);
    EXPECT_GT(exact, 0);
    EXPECT_LE(sweeps(word, Jacobian::dense), exact) << word;
    EXPECT_LT(exact, linear) << word;
    EXPECT_LT(sweeps(word, Jacobian::gaussian), linear) << word;
  }
}

// What a diagonal says of steps of order one, 2 x 2 blocks say of those of order two.
TEST(Sampling, PairsAreWorthWhatDiagonalsAre) {
  constexpr int kMore = 3;
  for (const Jacobian jacobian : {Jacobian::diagonal, Jacobian::probe, Jacobian::gaussian})
    EXPECT_LE(sweeps("dpm-solver 2", jacobian), sweeps("dpm-solver 1", jacobian) + kMore)
        << name(jacobian);
}

TEST(Sampling, ExtrapolatesByDrifts) {
  for (const Case& c : cases()) {
    Sampling sampling(c.config, 40, c.eta);
    WindowedOptions options = sampler(Jacobian::gaussian, 9);
    options.extrapolate = true;
    const SolveReport report = Windowed(options).solve(sampling.chain, sampling.trajectory);
    EXPECT_EQ(report.status, Status::converged) << c.name;
    EXPECT_LT(sampling.error(), 1e-8) << c.name;
  }
}

}  // namespace
}  // namespace deeppcr::nonlinear
