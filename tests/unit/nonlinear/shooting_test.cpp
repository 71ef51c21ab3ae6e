#include "deeppcr/nonlinear/shooting.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/sequence/propagate.hpp"
#include "deeppcr/sequence/residual.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::ModelProblem;
using test::world;

struct Outcome {
  SolveReport report;
  double error = 0;     ///< against sequential execution, relative to the largest state
  double residual = 0;  ///< measured step by step
};

Outcome solve(const models::ModelOptions& model, const ShootingOptions& options, Index batch = 2,
              Monitor* monitor = nullptr) {
  const auto layout = Shooting::layout(model.steps, world().size(), options.chunks);
  ModelProblem problem(world(), model, layout, batch);
  problem.trajectory.fill_with_input();
  Shooting solver(world(), *problem.sequence, options);
  Outcome outcome{solver.solve(problem.trajectory, monitor)};
  outcome.residual = sequence::largest_residual(*problem.sequence, problem.trajectory);
  Buffer<Real> found(problem.trajectory.states().size());
  std::copy_n(problem.trajectory.states().data(), found.size(), found.data());
  sequence::propagate(*problem.sequence, problem.trajectory);
  outcome.error = test::relative_difference(world(), found.data(),
                                            problem.trajectory.states().data(), found.size());
  return outcome;
}

/// A member of the zoo of models that the solver is made for.
struct Animal {
  const char* name;
  const char* model;
  const char* activation;
  double gain;
  const char* scale;
  double contraction;
};
constexpr Animal kZoo[] = {
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

models::ModelOptions options_of(const Animal& animal, Index steps, int width) {
  models::ModelOptions options;
  options.model = animal.model;
  options.steps = steps;
  options.width = width;
  options.activation = animal.activation;
  options.gain = animal.gain;
  options.residual_scale = animal.scale;
  options.contraction = animal.contraction;
  if (animal.contraction < 0 || animal.gain != 1.0) options.init = "xavier";
  return options;
}

class ShootingZoo : public ::testing::TestWithParam<Animal> {};

TEST_P(ShootingZoo, AgreesWithSequential) {
  constexpr Index kSteps = 320;
  for (const Coupling coupling :
       {Coupling::zero, Coupling::identity, Coupling::first_order, Coupling::dense,
        Coupling::automatic}) {
    for (const Index chunks : {Index{1}, Index{2}, Index{3}, Index{7}, Index{64}, kSteps}) {
      for (const Index batch : {1, 5, 32}) {
        if (batch == 32 && chunks != 7) continue;
        ShootingOptions options;
        options.coupling = coupling;
        options.chunks = chunks;
        const Outcome outcome = solve(options_of(GetParam(), kSteps, 6), options, batch);
        const std::string what =
            fmt::format("{}, {} chunks, B = {}", to_string(coupling), chunks, batch);
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

INSTANTIATE_TEST_SUITE_P(Zoo, ShootingZoo, ::testing::ValuesIn(kZoo),
                         [](const auto& animal) { return std::string(animal.param.name); });

/// Prints what the tables of the module's README say.
TEST(ShootingTable, DISABLED_Sweeps) {
  for (const Animal& animal : kZoo)
    for (const Coupling coupling : {Coupling::zero, Coupling::identity, Coupling::first_order,
                                    Coupling::dense, Coupling::automatic})
      for (const Index chunks : {8, 64}) {
        ShootingOptions options;
        options.coupling = coupling;
        options.chunks = chunks;
        const Outcome outcome = solve(options_of(animal, 4096, 32), options, 2);
        if (!world().is_root()) continue;
        fmt::print("{:18} {:12} C {:3}: {:2} it, path {:.0f} + {:.0f} (L/C {}), err {:.1e} {} {} {}\n",
                   animal.name, to_string(coupling), chunks, outcome.report.iterations,
                   outcome.report.path.evaluations, outcome.report.path.products, 4096 / chunks,
                   outcome.error, to_string(outcome.report.status), outcome.report.method + outcome.report.linear,
                   outcome.report.reason + outcome.report.choice);
      }
}

}  // namespace
}  // namespace deeppcr::nonlinear
