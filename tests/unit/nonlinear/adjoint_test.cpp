#include "deeppcr/nonlinear/adjoint.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "linear/shooting.hpp"
#include "nonlinear/backpropagation.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::ModelProblem;
using test::world;

constexpr Index kBatch = 2;
constexpr int kWidth = 3;

/// The loss of these tests: half the squares of all states, so that every state has a gradient of
/// its own.
double loss(const sequence::Trajectory& z) {
  double sum = 0;
  for (Real value : z.states()) sum += 0.5 * value * value;
  return z.comm().sum(sum);
}

struct Gradients {
  Buffer<Real> states, input;
  sequence::ParameterGradients all;
  View<Real, 2> parameters;  ///< of the only group
};

Buffer<Real> copy_of(const View<const Real, 1>& values) {
  Buffer<Real> copy(values.size());
  std::copy(values.begin(), values.end(), copy.begin());
  return copy;
}

Gradients gradients(ModelProblem& problem, linear::LinearSolver& solver,
                    ConstStates loss_gradient) {
  sequence::Trajectory& z = problem.trajectory;
  Gradients g;
  g.all = sequence::ParameterGradients(problem.sequence->parameters());
  g.parameters = g.all[0];
  // Zeros count as found only if they were written.
  std::fill(g.parameters.begin(), g.parameters.end(), 7.0);
  Adjoint adjoint(*problem.sequence, z, solver);
  // Work space is used again.
  for (int i = 0; i < 2; ++i) adjoint.solve(loss_gradient, &g.all);
  adjoint.share_input();
  g.states = copy_of({adjoint.states().data(), {adjoint.states().size()}});
  g.input = copy_of({adjoint.input().data(), {adjoint.input().size()}});
  return g;
}

Gradients gradients(ModelProblem& problem, linear::LinearSolver& solver) {
  return gradients(problem, solver, problem.trajectory.states());
}

void expect_same(const Gradients& found, const Gradients& expected) {
  const auto same = [](const auto& a, const auto& b) {
    EXPECT_LE(test::relative_difference(world(), a.data(), b.data(), a.size()), 1e-12);
  };
  same(found.states, expected.states);
  same(found.input, expected.input);
  same(found.parameters, expected.parameters);
}

class AdjointTest : public ::testing::TestWithParam<std::tuple<std::string, std::string, Index>> {
 protected:
  AdjointTest() {
    options_.model = std::get<1>(GetParam());
    options_.steps = std::get<2>(GetParam());
    options_.width = kWidth;
    layout_ = test::uneven_layout(options_.steps, world().size());
  }
  std::unique_ptr<linear::LinearSolver> solver_ = linear::find(std::get<0>(GetParam())).make();
  models::ModelOptions options_;
  parallel::BlockLayout layout_;

  double loss_now(ModelProblem& problem) {
    sequence::propagate(*problem.sequence, problem.trajectory);
    return loss(problem.trajectory);
  }
};

TEST_P(AdjointTest, AgreesWithCentralDifferences) {
  ModelProblem problem(world(), options_, layout_, kBatch);
  sequence::propagate(*problem.sequence, problem.trajectory);
  const Gradients g = gradients(problem, *solver_);
  constexpr double kStep = 1e-5;
  // Truncation h^2 and rounding eps / h, both well below this for losses of size 1 to 100.
  constexpr double kTolerance = 1e-7;
  for (Index i = 0; i < kBatch * kWidth; ++i) {
    Real& x = problem.trajectory.input().data()[i];
    const Real at = x;
    x = at + kStep;
    const double above = loss_now(problem);
    x = at - kStep;
    const double below = loss_now(problem);
    x = at;
    const double slope = (above - below) / (2 * kStep);
    EXPECT_NEAR(g.input[i], slope, kTolerance * (1 + std::abs(slope)));
  }
  for (int owner = 0; owner < layout_.num_active_ranks(); ++owner) {
    const Index count = world().max(world().rank() == owner ? g.parameters.size() : Index{0});
    for (Index i = 0; i < count; i += 5) {
      const bool mine = world().rank() == owner;
      Real unused = 0;
      Real& theta = mine ? problem.rows().data()[i] : unused;
      const Real at = theta;
      theta = at + kStep;
      const double above = loss_now(problem);
      theta = at - kStep;
      const double below = loss_now(problem);
      theta = at;
      const double slope = (above - below) / (2 * kStep);
      if (mine) {
        ASSERT_NEAR(g.parameters.data()[i], slope, kTolerance * (1 + std::abs(slope)));
      }
    }
  }
}

TEST_P(AdjointTest, AgreesWithTheSequentialBackwardPass) {
  ModelProblem problem(world(), options_, layout_, kBatch);
  sequence::propagate(*problem.sequence, problem.trajectory);
  const Gradients found = gradients(problem, *solver_);
  const auto oracle = linear::find("sequential").make();
  expect_same(found, gradients(problem, *oracle));
}

INSTANTIATE_TEST_SUITE_P(Cases, AdjointTest,
                         ::testing::Combine(::testing::Values("sequential", "pcr", "hybrid"),
                                            ::testing::Values("mlp", "resnet", "affine"),
                                            ::testing::Values(1, 2, 3, 11)));

TEST_P(AdjointTest, TakesALossOfTheLastStateAlone) {
  ModelProblem problem(world(), options_, layout_, kBatch);
  sequence::propagate(*problem.sequence, problem.trajectory);
  const ConstStates z = problem.trajectory.states();
  const StepRange local = problem.trajectory.local_range();
  const Index zeros = local.size() - (local.contains(options_.steps - 1) ? 1 : 0);
  Buffer<Real> whole(z.size());
  std::copy(z.begin() + zeros * kBatch * kWidth, z.end(), whole.begin() + zeros * kBatch * kWidth);
  const Gradients expected = gradients(problem, *solver_, ConstStates(whole.data(), z.shape()));
  const Gradients found = gradients(problem, *solver_, z.slice(zeros, local.size()));
  expect_same(found, expected);
}

/// Shooting backward, with the loss on all states and on the last one only.
class ShootingAdjoint
    : public ::testing::TestWithParam<std::tuple<models::ModelOptions, Index, bool>> {};

TEST_P(ShootingAdjoint, AgreesWithTheSequentialBackwardPass) {
  const auto& [options, chunks, everywhere] = GetParam();
  const auto layout = parallel::BlockLayout::balanced(options.steps, world().size());
  ModelProblem problem(world(), options, layout, kBatch);
  sequence::propagate(*problem.sequence, problem.trajectory);
  const ConstStates z = problem.trajectory.states();
  const StepRange local = problem.trajectory.local_range();
  const Index zeros = local.size() - (local.contains(options.steps - 1) ? 1 : 0);
  const ConstStates loss_gradient = everywhere ? z : z.slice(zeros, local.size());
  linear::Settings shooting;
  shooting.chunks = chunks;
  linear::Shooting solver(shooting);
  const auto oracle = linear::find("sequential").make();
  const Gradients found = gradients(problem, solver, loss_gradient);
  const Gradients expected = gradients(problem, *oracle, loss_gradient);
  EXPECT_LE(test::relative_difference(world(), found.states.data(), expected.states.data(),
                                      found.states.size()),
            1e-10)
      << solver.report(layout).method << " " << solver.report(layout).reason;
  EXPECT_LE(test::relative_difference(world(), found.parameters.data(), expected.parameters.data(),
                                      found.parameters.size()),
            1e-10);
  EXPECT_GE(solver.report(layout).path.evaluations, 1);
}

models::ModelOptions chain_options(const char* model, const char* activation, const char* scale,
                                   double contraction) {
  models::ModelOptions options;
  options.model = model;
  options.steps = 200;
  options.width = kWidth;
  test::set_where_known(options, "activation", activation);
  test::set_where_known(options, "residual-scale", scale);
  test::set_where_known(options, "contraction", contraction);
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Chains, ShootingAdjoint,
    ::testing::Combine(::testing::Values(chain_options("mlp", "tanh", "none", 0),
                                         chain_options("mlp", "relu", "none", 0),
                                         chain_options("resnet", "tanh", "1/L", 0),
                                         chain_options("resnet", "relu", "1/sqrt(L)", 0),
                                         chain_options("affine", "tanh", "none", 0.99),
                                         chain_options("affine", "tanh", "none", 1.01)),
                       ::testing::Values<Index>(1, 2, 3, 7, 64, 200), ::testing::Bool()));

TEST(Backpropagation, TellsOfGradientsInPiecesFromTheRight) {
  // Ranks whose carry is awaited compute theirs behind the substitution, the others on the way.
  const models::ModelOptions options = chain_options("mlp", "tanh", "none", 0);
  const auto layout = test::uneven_layout(options.steps, world().size());
  ModelProblem problem(world(), options, layout, kBatch);
  sequence::Trajectory& z = problem.trajectory;
  sequence::propagate(*problem.sequence, z);
  const StepRange local = z.local_range();
  parallel::Traffic halo;
  const ConstStates in = z.starts(halo);
  const auto A = problem.sequence->linearise_at_solution(local, in, z.states());
  blocks::BlockBidiagonal J(world(), layout, kBatch, kWidth);
  Buffer<Real> g(z.states().size());
  const sequence::ParameterGradients parameters(problem.sequence->parameters());
  for (const char* name : {"sequential", "hybrid"}) {
    constexpr Index kPiece = 7;
    std::vector<StepRange> heard;
    const Backpropagation both(*A, *problem.sequence, local, in, parameters, kPiece,
                               [&](StepRange range) { heard.push_back(range); });
    const auto solver = linear::find(name).make();
    J.set_linearisation(&both);
    solver->setup(J);
    solver->solve_transpose(z.states(), States(g.data(), z.states().shape()));
    Index last = local.last;
    for (const StepRange& range : heard) {
      EXPECT_EQ(range.last, last) << name;
      EXPECT_GT(range.size(), 0);
      EXPECT_LE(range.size(), kPiece);
      last = range.first;
    }
    EXPECT_EQ(last, local.first) << name;
  }
}

TEST(Adjoint, OfAnEmptyChainIsZero) {
  models::ModelOptions options;
  options.steps = 0;
  options.width = kWidth;
  ModelProblem problem(world(), options, parallel::BlockLayout::balanced(0, world().size()),
                       kBatch);
  const auto solver = linear::find("hybrid").make();
  const Gradients g = gradients(problem, *solver);
  for (Real value : g.input) EXPECT_EQ(value, 0.0);
}

}  // namespace
}  // namespace deeppcr::nonlinear
