#include "deeppcr/nonlinear/windowed.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "deeppcr/core/error.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/sampling_problem.hpp"

namespace deeppcr::nonlinear {
namespace {

using Sampling = test::SamplingProblem;
using test::world;

const Jacobian kAll[] = {Jacobian::dense, Jacobian::diagonal, Jacobian::probe,
                         Jacobian::linear_part, Jacobian::gaussian};

TEST(Windowed, AllJacobiansEndInTheSequentialTrajectory) {
  for (const double eta : {0.0, 1.0}) {
    for (const int steps : {1, 2, 40}) {
      for (const Index window : {0, 1, 7}) {
        for (const Jacobian jacobian : kAll) {
          Sampling sampling(steps, eta);
          WindowedOptions options = test::sampler_options();
          options.jacobian = jacobian;
          options.window = window;
          Windowed solver(options);
          const SolveReport report = solver.solve(sampling.chain, sampling.trajectory);
          EXPECT_EQ(report.status, Status::converged) << report.reason;
          EXPECT_LT(sampling.error(), 1e-9) << name(jacobian) << " window " << window;
          EXPECT_LE(report.iterations, steps);
          EXPECT_EQ(report.frozen_prefix, steps);
          if (window == 1) {
            EXPECT_EQ(report.evaluations, steps);
          }
        }
      }
    }
  }
}

TEST(Windowed, DenseTakesEveryLinearSolver) {
  for (const char* linear : {"hybrid", "pcr", "sequential"}) {
    Sampling sampling(30, 1);
    WindowedOptions options = test::sampler_options();
    options.jacobian = Jacobian::dense;
    options.linear = linear;
    options.window = 11;
    Windowed solver(options);
    const SolveReport report = solver.solve(sampling.chain, sampling.trajectory);
    EXPECT_EQ(report.status, Status::converged);
    EXPECT_LT(sampling.error(), 1e-9) << linear;
  }
}

TEST(Windowed, BetterJacobiansNeedFewerSweeps) {
  const auto sweeps = [](Jacobian jacobian) {
    Sampling sampling(200, 0);
    WindowedOptions options = test::sampler_options();
    options.jacobian = jacobian;
    return Windowed(options).solve(sampling.chain, sampling.trajectory).iterations;
  };
  EXPECT_LT(sweeps(Jacobian::dense), sweeps(Jacobian::diagonal));
  EXPECT_LT(sweeps(Jacobian::diagonal), sweeps(Jacobian::linear_part));
  EXPECT_LT(sweeps(Jacobian::gaussian), sweeps(Jacobian::linear_part));
}

TEST(Windowed, ExtrapolatedGuessesNeedFewerEvaluations) {
  const auto evaluations = [](bool extrapolate) {
    Sampling sampling(200, 0);
    WindowedOptions options = test::sampler_options();
    options.jacobian = Jacobian::gaussian;
    options.window = 20;
    options.tolerance.rtol = 1e-3;
    options.extrapolate = extrapolate;
    Windowed solver(options);
    const SolveReport report = solver.solve(sampling.chain, sampling.trajectory);
    EXPECT_EQ(report.status, Status::converged);
    EXPECT_LT(sampling.error(), 1e-3);
    return report.evaluations;
  };
  EXPECT_LT(evaluations(true), evaluations(false));
}

TEST(Windowed, GoesOnBehindAFrozenPrefix) {
  Sampling sampling(40, 1);
  constexpr Index kFrozen = 25, kRow = Sampling::kBatch * Sampling::kWidth;
  std::copy_n(sampling.expected.data() + kRow, kFrozen * kRow, sampling.trajectory.states().data());
  Windowed solver(test::sampler_options());
  const SolveReport report = solver.sample(sampling.chain, sampling.trajectory, kFrozen);
  EXPECT_LT(sampling.error(), 1e-9);
  EXPECT_LE(report.iterations, 15);
  EXPECT_LE(report.evaluations, 15 * 15);
}

/// Stops at the second sweep.
class Stopper final : public Monitor {
 public:
  Action iteration(const IterationRecord& record, const Real*) override {
    EXPECT_EQ(record.iteration, ++heard_);
    return heard_ == 2 ? Action::stop : Action::go_on;
  }

 private:
  int heard_ = 0;
};

TEST(Windowed, StopsWhenItsMonitorSaysSo) {
  Sampling sampling(40, 1);
  WindowedOptions options = test::sampler_options();
  options.jacobian = Jacobian::linear_part;
  Stopper monitor;
  Windowed solver(options);
  const SolveReport report = solver.solve(sampling.chain, sampling.trajectory, {&monitor});
  EXPECT_EQ(report.status, Status::interrupted);
  EXPECT_EQ(report.iterations, 2);
}

TEST(Windowed, FallsBackToSequentialExecution) {
  Sampling sampling(40, 1);
  WindowedOptions options = test::sampler_options();
  options.jacobian = Jacobian::linear_part;
  options.max_iterations = 3;
  Windowed solver(options);
  const SolveReport report = solver.solve(sampling.chain, sampling.trajectory);
  EXPECT_EQ(report.status, Status::fell_back);
  EXPECT_LT(sampling.error(), 1e-9);

  sampling.trajectory.states().end()[-1] = std::numeric_limits<double>::quiet_NaN();
  options.fallback = false;
  Windowed stubborn(options);
  EXPECT_EQ(stubborn.solve(sampling.chain, sampling.trajectory).status, Status::failed);
}

TEST(Windowed, SolvesChainsOfWhichEachRankHoldsItsOwnSteps) {
  for (const Jacobian jacobian : {Jacobian::diagonal, Jacobian::probe, Jacobian::linear_part}) {
    for (const Index L : {0, 1, 2, 33}) {
      models::ModelOptions model;
      model.model = "resnet";
      model.steps = L;
      model.width = 6;
      test::ModelProblem problem(world(), model, test::uneven_layout(L, world().size()), 3);
      test::ModelProblem expected(world(), model, test::uneven_layout(L, world().size()), 3);
      sequence::propagate(*expected.sequence, expected.trajectory);
      problem.trajectory.fill_with_input();
      WindowedOptions options;
      options.jacobian = jacobian;
      Windowed solver(options);
      const SolveReport report = solver.solve(*problem.sequence, problem.trajectory);
      EXPECT_EQ(report.status, Status::converged) << report.reason;
      EXPECT_LE(report.residual, report.tolerance);
      EXPECT_LT(test::relative_difference(world(), problem.trajectory.states().data(),
                                          expected.trajectory.states().data(),
                                          problem.trajectory.states().size()),
                1e-8)
          << name(jacobian) << " L " << L;
    }
  }
}

// A cell with large weights is chaotic: diagonals tell too little of it to end at all.
TEST(Windowed, IsLeftEarlyWhereTheResidualDoesNotFall) {
  models::ModelOptions model;
  model.model = "rnn";
  model.steps = 3000;
  model.width = 16;
  const auto layout = parallel::BlockLayout::balanced(model.steps, world().size());
  test::ModelProblem problem(world(), model, layout, 1);
  for (Real& value : problem.rows()) value *= 8;
  problem.trajectory.fill_with_input();
  const SolveReport report = Windowed({}).solve(*problem.sequence, problem.trajectory);
  EXPECT_EQ(report.status, Status::fell_back);
  EXPECT_LT(report.iterations, 100);
  EXPECT_NE(report.reason.find("has not fallen"), std::string::npos) << report.reason;
}

TEST(Windowed, RefusesAJacobianThatTheModelDoesNotKnow) {
  models::ModelOptions model;
  model.steps = 4;
  model.width = 3;
  test::ModelProblem problem(world(), model, parallel::BlockLayout::balanced(4, world().size()), 1);
  WindowedOptions options;
  options.jacobian = Jacobian::gaussian;
  EXPECT_THROW(Windowed(options).solve(*problem.sequence, problem.trajectory), Error);
  EXPECT_THROW(jacobian_from("sparse"), Error);
}

}  // namespace
}  // namespace deeppcr::nonlinear
