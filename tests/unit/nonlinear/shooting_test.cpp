#include "deeppcr/nonlinear/shooting.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "models/layered_chain.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"
#include "support/shooting_outcome.hpp"
#include "support/stopping_monitor.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::ModelProblem;
using test::shoot;
using test::ShootingOutcome;
using test::StoppingMonitor;
using test::with;
using test::world;

/// One of the models that the solver is made for.
struct NamedModel {
  const char* name;
  const char* model;
  const char* activation;
  double gain;
  const char* scale;
  double contraction;
};
constexpr NamedModel kModels[] = {
    {"tanh", "mlp", "tanh", 1.0, "none", 0},
    {"relu", "mlp", "relu", 1.0, "none", 0},
    {"gelu", "mlp", "gelu", 1.0, "none", 0},
    {"tanh_xavier_09", "mlp", "tanh", 0.9, "none", 0},
    {"tanh_xavier_1", "mlp", "tanh", 1.0, "none", -1},
    {"resnet_L_tanh", "resnet", "tanh", 1.0, "1/L", 0},
    {"resnet_L_relu", "resnet", "relu", 1.0, "1/L", 0},
    {"resnet_sqrtL_tanh", "resnet", "tanh", 1.0, "1/sqrt(L)", 0},
    {"resnet_sqrtL_relu", "resnet", "relu", 1.0, "1/sqrt(L)", 0},
    {"affine_05", "affine", "tanh", 1.0, "none", 0.5},
    {"affine_099", "affine", "tanh", 1.0, "none", 0.99},
    {"affine_1", "affine", "tanh", 1.0, "none", 1.0},
    {"affine_101", "affine", "tanh", 1.0, "none", 1.01},
};

models::ModelOptions options_of(const NamedModel& model, Index steps, int width) {
  models::ModelOptions options =
      test::chain_options(model.model, model.activation, model.scale, steps, width);
  test::set_where_known(options, "gain", model.gain);
  test::set_where_known(options, "contraction", model.contraction);
  if (model.contraction < 0 || model.gain != 1.0) options.set("init", "xavier");
  return options;
}

class ShootingModels : public ::testing::TestWithParam<NamedModel> {};

TEST_P(ShootingModels, AgreesWithSequential) {
  constexpr Index kSteps = 320;
  for (const Coupling coupling : {Coupling::zero, Coupling::identity, Coupling::first_order,
                                  Coupling::dense, Coupling::automatic}) {
    for (const Index chunks : {Index{1}, Index{2}, Index{3}, Index{7}, Index{64}, kSteps}) {
      for (const Index batch : {1, 5, 32}) {
        if (batch == 32 && chunks != 7) continue;
        const ShootingOutcome outcome =
            shoot(options_of(GetParam(), kSteps, 6), with(coupling, chunks), batch);
        const std::string what =
            fmt::format("{}, {} chunks, B = {}", couplings().of(coupling), chunks, batch);
        EXPECT_TRUE(outcome.report.status == Status::converged ||
                    outcome.report.status == Status::fell_back)
            << what << ": " << outcome.report.reason;
        EXPECT_LE(outcome.error, 1e-10) << what << " " << outcome.report.reason;
        EXPECT_LE(std::abs(outcome.residual - outcome.report.residual),
                  1e-3 * outcome.report.tolerance)
            << what;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, ShootingModels, ::testing::ValuesIn(kModels),
                         [](const auto& model) { return std::string(model.param.name); });

class ShootingSpecial : public ::testing::Test {
 protected:
  /// A chain of L layers, tanh with xavier weights; contracting for gain < 1, chaotic for gain 2.
  static models::ModelOptions layers(Index steps, double gain, int width = 16) {
    models::ModelOptions options;
    options.model = "mlp";
    options.steps = steps;
    options.width = width;
    options.set("init", "xavier").set("gain", gain);
    return options;
  }
};

TEST_F(ShootingSpecial, AgreesForAllLengths) {
  for (const Index steps : {0, 1, 2, 3, world().size(), 33})
    for (const Coupling coupling : {Coupling::zero, Coupling::identity, Coupling::automatic}) {
      const ShootingOutcome outcome = shoot(layers(steps, 0.9), with(coupling, 0));
      EXPECT_EQ(outcome.report.status, Status::converged)
          << couplings().of(coupling) << " L " << steps;
      EXPECT_LE(outcome.error, 1e-10) << couplings().of(coupling) << " L = " << steps;
    }
}

// Chains that expand: whatever the coupling, the answer is that of sequential execution.
TEST_F(ShootingSpecial, ChaoticChainsEndRight) {
  for (const Coupling coupling :
       {Coupling::zero, Coupling::identity, Coupling::dense, Coupling::automatic}) {
    const ShootingOutcome outcome = shoot(layers(512, 2, 32), with(coupling, 8));
    EXPECT_TRUE(outcome.report.status == Status::converged ||
                outcome.report.status == Status::fell_back)
        << couplings().of(coupling);
    EXPECT_LE(outcome.error, 1e-10) << couplings().of(coupling) << ": " << outcome.report.reason;
  }
}

/// Layers that contract up to `turn` and expand behind it.
class Turning : public models::LayeredChain {
 public:
  Turning(Index steps, int width, StepRange local, Index turn, double expansion)
      : LayeredChain({width, 1, models::Activation::tanh}, steps, local,
                     {models::Initialisation::xavier, 0.8}) {
    for (Index l = std::max(turn, local.first); l < local.last; ++l)
      for (Real& value : rows()[l - local.first]) value *= expansion;
  }
};

// Two starts seem to have merged long before the chain begins to expand: what is left of their
// difference grows to the size of the states. Bits that are equal may stay, nothing else.
TEST_F(ShootingSpecial, MergedStatesThatPartAgainAreFound) {
  constexpr Index kSteps = 1200, kTurn = 900;
  constexpr int kWidth = 48;
  bool seen = false;
  for (const double expansion : {1.0, 1.6, 3.0}) {
    // One chunk has the turn inside, so that its sweep merges before.
    for (const Index chunks : {Index{2}, Index{3}}) {
      if (chunks < world().size()) continue;
      Shooting solver(with(Coupling::zero, chunks));
      const auto layout = solver.layout({kSteps, 2, kWidth, world().size()});
      const StepRange local = layout.range(world().rank());
      const Turning chain(kSteps, kWidth, local, kTurn, expansion);
      sequence::Trajectory found(world(), layout, 2, kWidth), expected(world(), layout, 2, kWidth);
      for (sequence::Trajectory* z : {&found, &expected})
        RandomStream(17, 1).normal(0, z->input().size(), z->input().data());
      found.fill_with_input();
      const SolveReport report = solver.solve(chain, found);
      sequence::propagate(chain, expected);
      EXPECT_LE(test::relative_difference(world(), found.states().data(), expected.states().data(),
                                          found.states().size()),
                1e-10)
          << expansion << ", " << chunks << " chunks: " << to_string(report.status) << " "
          << report.reason;
      seen = seen || report.status == Status::fell_back;
    }
  }
  if (world().size() <= 2) {
    EXPECT_TRUE(seen) << "no chain of this test parted again";
  }
}

// Without a bias the steps take other products, and the states of a contracting chain die out: each
// is held against its own size.
TEST_F(ShootingSpecial, ChainsWithoutABias) {
  for (const double gain : {0.9, 1.0, 1.5})
    for (const Index batch : {1, 3})
      for (const Coupling coupling : {Coupling::zero, Coupling::dense, Coupling::automatic}) {
        models::ModelOptions chain = layers(600, gain);
        chain.set("no-bias", "true");
        const ShootingOutcome outcome = shoot(chain, with(coupling, 8), batch);
        const std::string what =
            fmt::format("gain {}, B = {}, {}", gain, batch, couplings().of(coupling));
        EXPECT_NE(outcome.report.status, Status::failed) << what << " " << outcome.report.reason;
        EXPECT_LE(outcome.error, 1e-10) << what << " " << outcome.report.reason;
      }
}

TEST_F(ShootingSpecial, AcceleratorsEndRight) {
  models::ModelOptions resnet;
  resnet.model = "resnet";
  resnet.steps = 256;
  resnet.width = 8;
  for (const char* accelerate : {"anderson", "ngmres"})
    for (const Coupling coupling : {Coupling::zero, Coupling::identity}) {
      ShootingOptions options = with(coupling, 16);
      options.accelerate = accelerate;
      options.max_iterations = 200;
      const ShootingOutcome outcome = shoot(resnet, options);
      EXPECT_EQ(outcome.report.status, Status::converged) << outcome.report.reason;
      EXPECT_LE(outcome.error, 1e-10);
    }
}

// Layers that change little from one to the next, as those of a trained network may: here, all
// alike.
TEST_F(ShootingSpecial, ACoarseChainIsACloserGuess) {
  models::ModelOptions resnet;
  resnet.model = "resnet";
  resnet.steps = 256;
  resnet.width = 8;
  resnet.set("residual-scale", "1/L");
  const auto layout =
      Shooting(with(Coupling::zero, 16)).layout({resnet.steps, 2, 8, world().size()});
  ModelProblem problem(world(), resnet, layout, 2), expected(world(), resnet, layout, 2);
  const auto first = models::make(resnet, {0, 1});
  for (ModelProblem* each : {&problem, &expected}) {
    const View<Real, 2> theta = each->rows();
    for (Index i = 0; i < theta.extent(0); ++i)
      std::copy_n(test::rows_of(*first).data(), theta.extent(1), theta[i].data());
  }
  sequence::propagate(*expected.sequence, expected.trajectory);
  const auto distance = [&] {
    return test::relative_difference(world(), problem.trajectory.states().data(),
                                     expected.trajectory.states().data(),
                                     problem.trajectory.states().size());
  };
  problem.trajectory.fill_with_input();
  const double copied = distance();
  fill_with_coarse_chain(*problem.sequence, 4, problem.trajectory);
  EXPECT_LT(distance(), 0.1 * copied);
  fill_with_coarse_chain(*problem.sequence, 1, problem.trajectory);
  EXPECT_LE(distance(), 1e-14);
}

TEST_F(ShootingSpecial, TheFirstRankGetsMoreSteps) {
  constexpr Index kSteps = 8192;
  for (const auto passes : {linear::Passes::forward, linear::Passes::forward_and_backward}) {
    const auto layout = Shooting({}).layout({kSteps, 1, 16, 2, passes});
    EXPECT_GT(layout.range(0).size(), kSteps / 2);
    EXPECT_LT(layout.range(0).size(), 3 * kSteps / 5);
  }
}

TEST_F(ShootingSpecial, NaNWeightsAreAStatedFailure) {
  for (const Coupling coupling : {Coupling::zero, Coupling::identity, Coupling::automatic}) {
    Shooting solver(with(coupling, 0));
    const auto layout = solver.layout({100, 2, 4, world().size()});
    ModelProblem problem(world(), layers(100, 0.9, 4), layout, 2);
    if (world().rank() == world().size() - 1) problem.rows().data()[1] = std::nan("");
    problem.trajectory.fill_with_input();
    const SolveReport report = solver.solve(*problem.sequence, problem.trajectory);
    EXPECT_EQ(report.status, Status::failed) << couplings().of(coupling);
    EXPECT_FALSE(report.reason.empty());
  }
}

TEST_F(ShootingSpecial, MonitorHearsOfEachCorrectionAndCanStop) {
  models::ModelOptions resnet;
  resnet.model = "resnet";
  resnet.steps = 256;
  resnet.width = 8;
  StoppingMonitor all(-1), first(1);
  const ShootingOutcome whole = shoot(resnet, with(Coupling::identity, 16), 2, {&all});
  ASSERT_EQ(static_cast<int>(all.records.size()), whole.report.iterations);
  EXPECT_GT(all.records.size(), 1U);
  for (std::size_t k = 0; k < all.records.size(); ++k)
    EXPECT_GE(all.records[k].frozen_prefix, static_cast<Index>(k + 1));
  const ShootingOutcome stopped = shoot(resnet, with(Coupling::identity, 16), 2, {&first});
  EXPECT_EQ(stopped.report.status, Status::interrupted);
  EXPECT_EQ(stopped.report.iterations, 1);
}

TEST_F(ShootingSpecial, SendsOneStateARankAndSweep) {
  if (world().size() == 1) GTEST_SKIP() << "nothing is sent on one rank";
  const ShootingOutcome outcome = shoot(layers(512, 0.8), with(Coupling::zero, 0));
  ASSERT_EQ(outcome.report.status, Status::converged);
  // The guess and each correction; nothing is left to check where all ends were swept from.
  const Index hops = (world().size() - 1) * (outcome.report.iterations + 1);
  EXPECT_EQ(outcome.report.neighbours.messages, hops);
  EXPECT_EQ(outcome.report.neighbours.bytes, hops * 2 * 16 * Index{sizeof(Real)});
}

TEST_F(ShootingSpecial, CountsTheMessagesOfSubstitutionOnce) {
  if (world().size() == 1) GTEST_SKIP() << "nothing is sent on one rank";
  const ShootingOutcome outcome = shoot(layers(512, 2, 32), with(Coupling::automatic, 0));
  ASSERT_EQ(outcome.report.method, "sequential") << outcome.report.choice;
  // The guess for the look at the chain, and the states handed on.
  EXPECT_EQ(outcome.report.neighbours.messages, 2 * (world().size() - 1));
}

}  // namespace
}  // namespace deeppcr::nonlinear
