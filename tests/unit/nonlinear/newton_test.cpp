#include "deeppcr/nonlinear/newton.hpp"

#include <gtest/gtest.h>
#include <petscsys.h>

#include <cmath>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/petsc/check.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"
#include "support/stopping_monitor.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::ModelProblem;
using test::StoppingMonitor;
using test::world;

constexpr Index kBatch = 2;

models::ModelOptions options_for(const std::string& model, Index steps, int width) {
  models::ModelOptions options;
  options.model = model;
  options.steps = steps;
  options.width = width;
  return options;
}

struct Outcome {
  SolveReport report;
  double error = 0;  ///< against sequential execution, relative to the largest state
};

Outcome solve(const models::ModelOptions& options, const NewtonOptions& newton,
              const Monitors& monitors = {}) {
  const parallel::BlockLayout layout =
      linear::find(newton.linear)
          .layout(options.steps, world().size(), options.width, linear::Passes::forward);
  ModelProblem problem(world(), options, layout, kBatch);
  problem.trajectory.fill_with_input();
  Newton solver(newton);
  Outcome outcome{solver.solve(*problem.sequence, problem.trajectory, monitors)};
  Buffer<Real> found(problem.trajectory.states().size());
  std::copy_n(problem.trajectory.states().data(), found.size(), found.data());
  sequence::propagate(*problem.sequence, problem.trajectory);
  outcome.error = test::relative_difference(world(), found.data(),
                                            problem.trajectory.states().data(), found.size());
  return outcome;
}

class NewtonTest : public ::testing::TestWithParam<std::string> {
 protected:
  NewtonOptions newton_;
  void SetUp() override { newton_.linear = GetParam(); }
};

TEST_P(NewtonTest, AgreesWithSequentialForAllLengths) {
  for (const std::string model : {"mlp", "resnet", "affine"}) {
    for (const Index steps : {0, 1, 2, 3, world().size(), 33}) {
      for (const int width : {1, 3, 8}) {
        const Outcome outcome = solve(options_for(model, steps, width), newton_);
        EXPECT_EQ(outcome.report.status, Status::converged) << model << " L = " << steps;
        EXPECT_LE(outcome.error, 1e-10) << model << " L = " << steps << " n = " << width;
        EXPECT_LE(outcome.report.iterations, std::max<Index>(steps, 1));
      }
    }
  }
}

TEST_P(NewtonTest, ALinearChainTakesOneIteration) {
  for (const int width : {2, 8}) {
    const Outcome outcome = solve(options_for("affine", 300, width), newton_);
    EXPECT_EQ(outcome.report.iterations, 1);
    EXPECT_LE(outcome.error, 1e-10);
  }
}

TEST_P(NewtonTest, DeepNetworksTakeFewIterations) {
  for (const std::string activation : {"tanh", "relu"}) {
    models::ModelOptions mlp = options_for("mlp", 1024, 8);
    mlp.set("activation", activation);
    const Outcome outcome = solve(mlp, newton_);
    EXPECT_EQ(outcome.report.status, Status::converged);
    EXPECT_LE(outcome.report.iterations, 8) << activation;
    EXPECT_LE(outcome.error, 1e-10) << activation;
    models::ModelOptions resnet = options_for("resnet", 1024, 8);
    resnet.set("activation", activation);
    const Outcome residual = solve(resnet, newton_);
    EXPECT_EQ(residual.report.status, Status::converged);
    EXPECT_LE(residual.report.iterations, 5) << activation;
    EXPECT_LE(residual.error, 1e-10) << activation;
  }
}

TEST_P(NewtonTest, WarmStartAfterASmallChangeTakesTwoIterations) {
  const models::ModelOptions options = options_for("resnet", 1024, 8);
  const auto layout = linear::find(newton_.linear)
                          .layout(options.steps, world().size(), 8, linear::Passes::forward);
  ModelProblem problem(world(), options, layout, kBatch);
  sequence::propagate(*problem.sequence, problem.trajectory);
  const View<Real, 2> theta = problem.rows();
  const RandomStream noise(3, 3);
  for (Index i = 0; i < theta.size(); ++i)
    theta.data()[i] *= 1 + 1e-3 * noise.normal(layout.range(world().rank()).first * 1000 + i);
  Newton solver(newton_);
  const SolveReport report = solver.solve(*problem.sequence, problem.trajectory);
  EXPECT_EQ(report.status, Status::converged);
  EXPECT_LE(report.iterations, 2);
}

TEST_P(NewtonTest, SolvesAgainWithTheSameObject) {
  const models::ModelOptions options = options_for("mlp", 50, 4);
  const auto layout = parallel::BlockLayout::balanced(50, world().size());
  ModelProblem problem(world(), options, layout, kBatch);
  Newton solver(newton_);
  problem.trajectory.fill_with_input();
  const SolveReport first = solver.solve(*problem.sequence, problem.trajectory);
  const SolveReport warm = solver.solve(*problem.sequence, problem.trajectory);
  EXPECT_GT(first.iterations, 0);
  EXPECT_EQ(warm.iterations, 0);
  problem.trajectory.fill_with_zero();
  EXPECT_EQ(solver.solve(*problem.sequence, problem.trajectory).status, Status::converged);
}

// Chains with a positive Lyapunov exponent: Newton is of no use, the answer must be right all the
// same.
TEST_P(NewtonTest, FallsBackToTheRightAnswer) {
  models::ModelOptions chaotic = options_for("mlp", 512, 32);
  chaotic.set("init", "xavier").set("gain", 2);
  newton_.max_iterations = 30;
  const Outcome outcome = solve(chaotic, newton_);
  EXPECT_EQ(outcome.report.status, Status::fell_back);
  EXPECT_FALSE(outcome.report.reason.empty());
  EXPECT_GT(outcome.report.lyapunov, 0.0);
  EXPECT_EQ(outcome.error, 0.0);  // substitution from a state that is identical, not merely close
}

// He-initialised relu without skip: neither contracting nor expanding on average, and hard for
// Newton.
TEST_P(NewtonTest, HeInitialisedReluEndsRight) {
  models::ModelOptions he = options_for("mlp", 1024, 8);
  he.set("activation", "relu").set("init", "he");
  const Outcome outcome = solve(he, newton_);
  EXPECT_TRUE(outcome.report.status == Status::converged ||
              outcome.report.status == Status::fell_back)
      << outcome.report.reason;
  EXPECT_LE(outcome.error, 1e-9);
}

// Newton may leave a tail of 1e15 behind. Wrong states before it must not count as exact for being
// small against it: the fallback would start from them.
TEST_P(NewtonTest, ABlownUpTailDoesNotFreezeWrongStates) {
  const Index steps = 60;
  const auto layout = parallel::BlockLayout::balanced(steps, world().size());
  ModelProblem found(world(), options_for("mlp", steps, 4), layout, kBatch);
  ModelProblem expected(world(), options_for("mlp", steps, 4), layout, kBatch);
  found.trajectory.fill_with_input();
  const StepRange local = found.trajectory.local_range();
  const States z = found.trajectory.states();
  for (Index l = std::max(local.first, steps / 2); l < local.last; ++l)
    std::fill(z[l - local.first].begin(), z[l - local.first].end(), 1e15);
  newton_.max_iterations = 0;
  Newton solver(newton_);
  EXPECT_EQ(solver.solve(*found.sequence, found.trajectory).status, Status::fell_back);
  sequence::propagate(*expected.sequence, expected.trajectory);
  EXPECT_EQ(
      test::relative_difference(world(), z.data(), expected.trajectory.states().data(), z.size()),
      0.0);
}

// A shorter chain that expands: Newton does reach the tolerance, but a residual of that size is a
// wrong state further on.
TEST_P(NewtonTest, AConvergedResidualIsNotTrustedWhereTheChainExpands) {
  models::ModelOptions chaotic = options_for("mlp", 192, 32);
  chaotic.set("init", "xavier").set("gain", 2);
  newton_.max_iterations = 200;
  const Outcome outcome = solve(chaotic, newton_);
  EXPECT_LE(outcome.error, 1e-10);
}

TEST_P(NewtonTest, AFailedSolveLeavesNothingBehind) {
  const models::ModelOptions options = options_for("mlp", 60, 4);
  const auto layout = parallel::BlockLayout::balanced(60, world().size());
  ModelProblem problem(world(), options, layout, kBatch);
  Newton solver(newton_);
  problem.trajectory.fill_with_input();
  const SolveReport first = solver.solve(*problem.sequence, problem.trajectory);
  for (Real& value : problem.trajectory.states()) value = std::nan("");
  problem.trajectory.touched();
  EXPECT_EQ(solver.solve(*problem.sequence, problem.trajectory).status, Status::fell_back);
  problem.trajectory.fill_with_input();
  const SolveReport again = solver.solve(*problem.sequence, problem.trajectory);
  EXPECT_EQ(again.status, Status::converged);
  EXPECT_EQ(again.neighbours, first.neighbours);
}

TEST_P(NewtonTest, TakesAnotherTrajectoryOfAnotherSize) {
  const models::ModelOptions options = options_for("mlp", 30, 4);
  const auto layout = parallel::BlockLayout::balanced(30, world().size());
  const auto model = models::make(options, layout.range(world().rank()));
  Newton solver(newton_);
  for (const Index batch : {1, 4, 2}) {
    sequence::Trajectory z(world(), layout, batch, 4);
    EXPECT_EQ(solver.solve(*model, z).status, Status::converged) << "batch " << batch;
  }
}

TEST_P(NewtonTest, WithoutFallbackFailureIsStated) {
  models::ModelOptions chaotic = options_for("mlp", 512, 32);
  chaotic.set("init", "xavier").set("gain", 2);
  newton_.max_iterations = 3;
  newton_.fallback = false;
  EXPECT_EQ(solve(chaotic, newton_).report.status, Status::failed);
}

TEST_P(NewtonTest, NaNWeightsAreAStatedFailure) {
  const models::ModelOptions options = options_for("mlp", 40, 4);
  const auto layout = parallel::BlockLayout::balanced(40, world().size());
  ModelProblem problem(world(), options, layout, kBatch);
  if (world().rank() == world().size() - 1) problem.rows().data()[1] = std::nan("");
  problem.trajectory.fill_with_input();
  Newton solver(newton_);
  const SolveReport report = solver.solve(*problem.sequence, problem.trajectory);
  EXPECT_EQ(report.status, Status::failed);
  EXPECT_NE(report.reason.find("NaN"), std::string::npos);
}

TEST_P(NewtonTest, MonitorHearsOfEachIterationAndCanStop) {
  const models::ModelOptions options = options_for("mlp", 200, 8);
  StoppingMonitor all(-1), first(1);
  const Outcome whole = solve(options, newton_, {&all});
  ASSERT_EQ(static_cast<int>(all.records.size()), whole.report.iterations + 1);
  EXPECT_EQ(all.records.front().step_norm, 0.0);
  EXPECT_GT(all.records.back().step_norm, 0.0);
  EXPECT_EQ(all.records.back().frozen_prefix, whole.report.frozen_prefix);
  for (std::size_t k = 0; k < all.records.size(); ++k)
    EXPECT_GE(all.records[k].frozen_prefix, std::min<Index>(static_cast<Index>(k), 200));
  const Outcome stopped = solve(options, newton_, {&first});
  EXPECT_EQ(stopped.report.status, Status::interrupted);
  EXPECT_EQ(stopped.report.iterations, 1);
}

/// What one asks for is done by all, behind everybody's answer; what has been asked for with `stop`
/// is kept too.
TEST_P(NewtonTest, AllMonitorsSaveWhereOneAsks) {
  class Keeper : public Monitor {
   public:
    Action iteration(const IterationRecord&, const Real*) override { return Action::go_on; }
    void save(const IterationRecord& record, const Real* states) override {
      EXPECT_NE(states, nullptr);
      kept.push_back(record.iteration);
    }
    std::vector<int> kept;
  };
  class Asking : public Monitor {
   public:
    Action iteration(const IterationRecord& record, const Real*) override {
      constexpr Action kAnswers[] = {Action::go_on, Action::save, Action::stop};
      return kAnswers[record.iteration];
    }
  };
  Keeper before, behind;
  Asking asking;
  const Outcome stopped = solve(options_for("mlp", 200, 8), newton_, {&before, &asking, &behind});
  EXPECT_EQ(stopped.report.status, Status::interrupted);
  EXPECT_EQ(before.kept, (std::vector<int>{1, 2}));
  EXPECT_EQ(behind.kept, before.kept);
}

/// A stop that is asked for behind the last iteration comes before the fallback.
TEST_P(NewtonTest, MonitorCanStopBeforeTheFallback) {
  class LateMonitor : public Monitor {
   public:
    Action iteration(const IterationRecord&, const Real*) override {
      EXPECT_EQ(ends, 0);
      return Action::go_on;
    }
    Action iterations_end() override {
      ++ends;
      return Action::stop;
    }
    int ends = 0;
  };
  newton_.max_iterations = 1;
  LateMonitor monitor;
  const Outcome stopped = solve(options_for("mlp", 200, 8), newton_, {&monitor});
  EXPECT_EQ(stopped.report.status, Status::interrupted);
  EXPECT_EQ(stopped.report.seconds.count("fallback"), 0U);
  EXPECT_EQ(monitor.ends, 1);
}

TEST_P(NewtonTest, ExceptionsInTheModelComeOutWithTheirType) {
  class Broken : public sequence::Sequence {
   public:
    Index num_steps() const override { return 8; }
    int width() const override { return 1; }
    void value(StepRange, ConstStates, States) const override { throw input_error("broken"); }
    std::unique_ptr<blocks::Linearisation> linearise(StepRange, ConstStates,
                                                     States) const override {
      throw input_error("broken");
    }
  };
  const Broken broken;
  // Every rank has a step: all throw.
  if (world().size() > 8) GTEST_SKIP();
  sequence::Trajectory z(world(), parallel::BlockLayout::balanced(8, world().size()), 1, 1);
  Newton solver(newton_);
  EXPECT_THROW(solver.solve(broken, z), Error);
}

INSTANTIATE_TEST_SUITE_P(Linear, NewtonTest, ::testing::Values("sequential", "pcr", "hybrid"));

/// PETSc's option data base for the length of a test.
class Options {
 public:
  explicit Options(std::vector<std::pair<const char*, const char*>> entries)
      : entries_(std::move(entries)) {
    for (const auto& [name, value] : entries_)
      DEEPPCR_PETSC(PetscOptionsSetValue(nullptr, name, value));
  }
  ~Options() {
    for (const auto& [name, value] : entries_) PetscOptionsClearValue(nullptr, name);
  }
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

 private:
  std::vector<std::pair<const char*, const char*>> entries_;
};

TEST(NewtonWithPetsc, TakesOtherSolversFromTheOptions) {
  const std::vector<std::vector<std::pair<const char*, const char*>>> choices{
      {{"-pc_type", "lu"}, {"-pc_factor_mat_solver_type", "mumps"}},
      {{"-ksp_type", "gmres"}, {"-ksp_rtol", "1e-12"}, {"-pc_type", "bjacobi"}},
      {{"-ksp_type", "gmres"}, {"-ksp_rtol", "1e-12"}, {"-pc_type", "none"}},
      {{"-snes_linesearch_type", "bt"}},
      {{"-snes_lag_jacobian", "2"}},
      {{"-snes_type", "newtontr"}},
      {{"-pc_deeppcr_method", "pcr"}}};
  for (const auto& choice : choices) {
    const Options set(choice);
    const Outcome outcome = solve(options_for("mlp", 40, 4), {});
    EXPECT_EQ(outcome.report.status, Status::converged) << choice.front().second;
    EXPECT_LE(outcome.error, 1e-9) << choice.front().second;
  }
}

}  // namespace
}  // namespace deeppcr::nonlinear
