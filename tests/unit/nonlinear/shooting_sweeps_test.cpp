// How often shooting sweeps its chunks: what the critical path of a large run is made of.
#include <gtest/gtest.h>

#include "deeppcr/nonlinear/shooting.hpp"
#include "support/shooting_outcome.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::chain_options;
using test::shoot;
using test::ShootingOutcome;
using test::with;

struct Sweeps {
  const char* name;
  const char* model;
  const char* activation;
  const char* init;
  double gain;
  const char* scale;
  Coupling coupling;
  int most_of_8, most_of_64;  ///< corrections allowed with 8 and 64 chunks
};

// One more than the plan of this method counted with M = 0 or identity (1 / 2, 1 / 5, 4 / 4 and 8 /
// 15) and with whole Jacobians (1 / 1, 1 / 3, 2 / 2, 4 / 4). Only the relu resnet with identity
// needs more: 24, where first order takes 10 and whole Jacobians 5.
constexpr Sweeps kSweeps[] = {
    {"tanh_gain_07", "mlp", "tanh", "xavier", 0.7, "none", Coupling::zero, 2, 3},
    {"tanh_gain_07_dense", "mlp", "tanh", "xavier", 0.7, "none", Coupling::dense, 2, 2},
    {"tanh_gain_1", "mlp", "tanh", "xavier", 1.0, "none", Coupling::zero, 2, 6},
    {"tanh_gain_1_dense", "mlp", "tanh", "xavier", 1.0, "none", Coupling::dense, 2, 4},
    {"relu_xavier", "mlp", "relu", "xavier", 1.0, "none", Coupling::zero, 2, 3},
    {"relu_xavier_dense", "mlp", "relu", "xavier", 1.0, "none", Coupling::dense, 2, 3},
    {"resnet_L_tanh", "resnet", "tanh", "default", 1.0, "1/L", Coupling::identity, 5, 5},
    {"resnet_L_relu", "resnet", "relu", "default", 1.0, "1/L", Coupling::identity, 5, 5},
    {"resnet_L_tanh_dense", "resnet", "tanh", "default", 1.0, "1/L", Coupling::dense, 3, 3},
    {"resnet_L_relu_dense", "resnet", "relu", "default", 1.0, "1/L", Coupling::dense, 3, 3},
    {"resnet_rootL_tanh", "resnet", "tanh", "default", 1.0, "1/sqrt(L)", Coupling::identity, 9, 16},
    {"resnet_rootL_relu", "resnet", "relu", "default", 1.0, "1/sqrt(L)", Coupling::identity, 9, 24},
    {"resnet_rootL_relu_first_order", "resnet", "relu", "default", 1.0, "1/sqrt(L)",
     Coupling::first_order, 8, 11},
    {"resnet_rootL_tanh_dense", "resnet", "tanh", "default", 1.0, "1/sqrt(L)", Coupling::dense, 5,
     5},
    {"resnet_rootL_relu_dense", "resnet", "relu", "default", 1.0, "1/sqrt(L)", Coupling::dense, 5,
     5},
};

constexpr Index kSteps = 4096;

class ShootingSweeps : public ::testing::TestWithParam<Sweeps> {};

TEST_P(ShootingSweeps, NoMoreThanInTheTable) {
  const Sweeps& row = GetParam();
  models::ModelOptions chain = chain_options(row.model, row.activation, row.scale, kSteps, 32);
  chain.set("init", row.init).set("gain", row.gain);
  for (const Index chunks : {Index{8}, Index{64}}) {
    const ShootingOutcome outcome = shoot(chain, with(row.coupling, chunks));
    EXPECT_EQ(outcome.report.status, Status::converged) << outcome.report.reason;
    EXPECT_LE(outcome.error, 1e-10);
    EXPECT_LE(outcome.report.iterations, chunks == 8 ? row.most_of_8 : row.most_of_64)
        << chunks << " chunks";
  }
}

INSTANTIATE_TEST_SUITE_P(Table, ShootingSweeps, ::testing::ValuesIn(kSweeps),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ShootingPath, IsShortWhereStartsAreForgotten) {
  const ShootingOutcome outcome =
      shoot(chain_options("mlp", "tanh", "none", kSteps, 16), with(Coupling::zero, 64), 1);
  EXPECT_LE(outcome.report.path.evaluations, 1.8 * kSteps / 64 + 100);
  EXPECT_EQ(outcome.report.path.products, 0);
}

TEST(ShootingPath, IsAFewSweepsOfAResnet) {
  const ShootingOutcome outcome =
      shoot(chain_options("resnet", "tanh", "1/L", kSteps, 16), with(Coupling::identity, 64), 1);
  EXPECT_EQ(outcome.report.status, Status::converged);
  EXPECT_LE(outcome.report.path.evaluations, 6.0 * kSteps / 64);
}

}  // namespace
}  // namespace deeppcr::nonlinear
