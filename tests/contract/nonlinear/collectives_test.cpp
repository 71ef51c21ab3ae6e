// What solves ask of all ranks together: collective calls and messages, PETSc's own among them,
// against formulas that know the number of ranks by its logarithm only.
#include <gtest/gtest.h>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "support/environment.hpp"
#include "support/identifier.hpp"
#include "support/model_problem.hpp"
#include "support/mpi_count.hpp"
#include "support/sampling_problem.hpp"
#include "support/stopping_monitor.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::ModelProblem;
using test::MpiCount;
using test::world;

constexpr Index kSteps = 192, kBatch = 2;
constexpr int kWidth = 4;

models::ModelOptions options_of(const char* model, double gain) {
  models::ModelOptions options;
  options.model = model;
  options.steps = kSteps;
  options.width = kWidth;
  test::set_where_known(options, "gain", gain);
  return options;
}

/// Messages of all ranks in one scan over them: at stride s all but the last s send.
Index messages_of_a_scan() {
  Index messages = 0;
  for (Index stride = 1; stride < world().size(); stride *= 2) messages += world().size() - stride;
  return messages;
}

Index messages_of(const parallel::TrafficByLevel& levels, const parallel::Traffic& neighbours) {
  Index messages = neighbours.messages;
  for (const parallel::Traffic& level : levels) messages += level.messages;
  return messages;
}

/// What a solve may take: reductions, and scans, whose messages its report does not count.
struct Allowed {
  Index reductions = 0, scans = 0;
};

Allowed allowed(const SolveReport& report) {
  const Index k = report.iterations, looks = report.looks;
  // A scan of limits and one of what errors come to, then a reduction.
  const Allowed of_looks{looks, 2 * looks};
  // In the end times and traffic, and the largest state where it was sequential execution.
  if (report.method == "sequential") return {3, 0};
  if (report.method == "pipeline") return {1, 0};
  // PETSc's norm of the first residual, its three of each iteration in one, ours of each.
  if (report.method == "newton")
    return {1 + k + (k + 1) + of_looks.reductions + 1, k + 1 + of_looks.scans};
  // Whether there are diagonals only, and how far they are.
  if (report.method == "windowed") return {2 * k + of_looks.reductions + 1, of_looks.scans};
  // The look before a method is chosen; one of each correction; the residual at the seams.
  EXPECT_EQ(report.method, "shooting");
  const Index judgements = std::max<Index>(k, 1);
  return {1 + judgements + of_looks.reductions + 1 + 1, judgements + of_looks.scans};
}

class CollectivesOfSolver : public ::testing::TestWithParam<std::string> {};

TEST_P(CollectivesOfSolver, AreThoseOfTheFormula) {
  for (const auto& [model, gain] : {std::pair{"mlp", 0.6}, {"resnet", 1.0}})
    for (const bool recorded : {false, true}) {
      Settings settings;
      const auto solver = find(GetParam()).make(settings);
      const models::ModelOptions options = options_of(model, gain);
      ModelProblem problem(
          world(), options,
          solver->layout({kSteps, kBatch, models::state_width(options), world().size()}), kBatch);
      test::StoppingMonitor never(-1);
      SolveReport report;
      MpiCount count;
      for (int again = 0; again < 2; ++again) {  // what is set up once is not counted
        problem.trajectory.fill_with_input();
        const MpiCount before = test::mpi_count();
        report = solver->solve(*problem.sequence, problem.trajectory,
                               recorded ? Monitors{&never} : Monitors{});
        count = test::mpi_count() - before;
      }
      ASSERT_EQ(report.status, Status::converged) << report.reason;
      const Allowed most = allowed(report);
      const std::string text = fmt::format(
          "{} of {} by {}: {} iterations, {} looks, {} reductions, {} gathers", model, kSteps,
          report.method, report.iterations, report.looks, count.reductions, count.gathers);
      if (world().is_root()) RecordProperty(model, text);
      EXPECT_LE(count.reductions, most.reductions) << text;
      EXPECT_EQ(count.gathers, 0) << text;
      EXPECT_EQ(count.others, 0) << text;
      EXPECT_EQ(world().sum(count.messages),
                messages_of(report.levels, report.neighbours) + most.scans * messages_of_a_scan())
          << text;
    }
}

/// Those that take any chain.
std::vector<std::string> solvers() {
  std::vector<std::string> all;
  for (const CatalogueEntry& entry : catalogue())
    if (!entry.stacks_only) all.push_back(entry.name);
  return all;
}

std::string as_identifier(const ::testing::TestParamInfo<std::string>& info) {
  return test::as_identifier(info.param);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, CollectivesOfSolver, ::testing::ValuesIn(solvers()),
                         as_identifier);

// One gathering of the window's corrections a sweep, whether they are accelerated or not.
TEST(CollectivesOfSampler, AreThoseOfTheFormula) {
  for (const Jacobian jacobian : {Jacobian::linear_part, Jacobian::gaussian})
    for (const int history : {0, 3}) {
      test::SamplingProblem problem(120, 1);
      WindowedOptions options = test::sampler_options();
      options.jacobian = jacobian;
      options.history = history;
      options.window = 40;
      const MpiCount before = test::mpi_count();
      const SolveReport report = Windowed(options).solve(problem.chain, problem.trajectory);
      const MpiCount count = test::mpi_count() - before;
      ASSERT_EQ(report.status, Status::converged) << report.reason;
      const Index k = report.iterations;
      EXPECT_LE(count.reductions, allowed(report).reductions) << name(jacobian) << history;
      EXPECT_EQ(count.gathers, world().size() > 1 ? k : 0);
      EXPECT_EQ(count.others, 0);
      EXPECT_EQ(world().sum(count.messages), messages_of(report.levels, {}));
    }
}

class CollectivesOfBackward : public ::testing::TestWithParam<std::string> {};

TEST_P(CollectivesOfBackward, AreThoseOfTheFormula) {
  for (const auto& [model, gain] : {std::pair{"mlp", 0.6}, {"resnet", 1.0}}) {
    const models::ModelOptions options = options_of(model, gain);
    ModelProblem problem(world(), options, parallel::BlockLayout::balanced(kSteps, world().size()),
                         kBatch);
    problem.trajectory.fill_with_input();
    sequence::ParameterGradients gradients(problem.sequence->parameters());
    Adjoint adjoint(*problem.sequence, problem.trajectory, make_backward(GetParam(), {}));
    MpiCount in_solve, in_report;
    AdjointReport report;
    for (int again = 0; again < 2; ++again) {
      const MpiCount before = test::mpi_count();
      adjoint.solve(problem.trajectory.states(), &gradients);
      const MpiCount solved = test::mpi_count();
      report = adjoint.report();
      in_solve = solved - before;
      in_report = test::mpi_count() - solved;
    }
    const std::string text =
        fmt::format("{} by {}: {} sweeps, {} reductions", model, report.outcome.method,
                    report.outcome.sweeps, in_solve.reductions);
    EXPECT_EQ(in_report.reductions, world().size() > 1 ? 1 : 0) << text;
    EXPECT_EQ(in_report.gathers + in_report.others + in_report.messages, 0) << text;
    EXPECT_EQ(in_solve.gathers + in_solve.others, 0) << text;
    const Index sent = world().sum(in_solve.messages) - (world().size() - 1);  // states, before it
    const Index counted = messages_of(report.levels, report.neighbours);
    const bool direct = report.outcome.sweeps == 0;
    if (direct) {
      // What shooting has looked at before it left the choice to another; a pipeline's ticks.
      EXPECT_LE(in_solve.reductions, 1) << text;
      EXPECT_EQ(sent, counted) << text;
    } else {
      // The choice, twice the largest entry, the first norm of GMRES, then two of each walk: a scan
      // and a reduction, or two of GMRES's.
      const Index judgements = report.outcome.sweeps + 1;
      EXPECT_LE(in_solve.reductions, 4 + 2 * judgements) << text;
      EXPECT_LE(sent, counted + judgements * messages_of_a_scan()) << text;
    }
  }
}

/// Those that take any Jacobians.
std::vector<std::string> backwards() {
  std::vector<std::string> all = linear::names(blocks::Structure::dense);
  all.insert(all.end(), {"auto", "pipeline"});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, CollectivesOfBackward, ::testing::ValuesIn(backwards()),
                         as_identifier);

}  // namespace
}  // namespace deeppcr::nonlinear
