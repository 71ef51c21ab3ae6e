// A cell whose weights all steps share, with an input at each step: gradients over depth ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/leaky_cell.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::nonlinear {
namespace {

using test::LeakyCell;
using test::world;

constexpr Index kBatch = 3;
constexpr int kWidth = 4, kInputs = 2;

/// The cell with its inputs and states on some ranks; the loss is half the squares of every third
/// state.
class Recurrent {
 public:
  Recurrent(const parallel::Communicator& comm, Index steps)
      : layout_(test::uneven_layout(steps, comm.size())),
        local_(layout_.range(comm.rank())),
        inputs_(local_, kBatch, kInputs),
        cell_(steps, kWidth, kInputs),
        bound_(cell_.bound_to(inputs_.view())),
        z_(comm, layout_, kBatch, kWidth),
        loss_gradient_(z_.states().size()) {
    RandomStream(17, 1).normal(0, z_.input().size(), z_.input().data());
    propagate();
  }

  sequence::Sequence& chain() { return *bound_; }
  sequence::Trajectory& states() { return z_; }
  View<Real, 1> theta() { return cell_.parameters().front().values[0]; }
  void propagate() { sequence::propagate(*bound_, z_); }

  double loss() {
    double sum = 0;
    for_loss([&](Real value, Real&) { sum += 0.5 * value * value; });
    return z_.comm().sum(sum);
  }
  /// From the first row with a loss on.
  ConstStates loss_gradient() {
    for_loss([&](Real value, Real& gradient) { gradient = value; });
    const Index silent = std::min((3 - local_.first % 3) % 3, local_.size());
    return ConstStates(loss_gradient_.data(), z_.states().shape()).slice(silent, local_.size());
  }

 private:
  template <typename Visit>
  void for_loss(Visit&& visit) {
    const Index state = kBatch * kWidth;
    for (Index i = 0; i < local_.size(); ++i)
      for (Index k = 0; k < state && (local_.first + i) % 3 == 0; ++k)
        visit(z_.states().data()[i * state + k], loss_gradient_[i * state + k]);
  }

  parallel::BlockLayout layout_;
  StepRange local_;
  test::RandomInputs inputs_;
  LeakyCell cell_;
  std::unique_ptr<sequence::Sequence> bound_;
  sequence::Trajectory z_;
  Buffer<Real> loss_gradient_;
};

struct Gradients {
  Buffer<Real> input, theta;
};

Gradients gradients(Recurrent& problem, const char* linear) {
  const auto solver = linear::find(linear).make();
  sequence::ParameterGradients parameters(problem.chain().parameters());
  std::fill(parameters[0].begin(), parameters[0].end(), 7.0);
  Adjoint adjoint(problem.chain(), problem.states(), *solver);
  for (int i = 0; i < 2; ++i) adjoint.solve(problem.loss_gradient(), &parameters);
  adjoint.share_input();
  Gradients g{Buffer<Real>(adjoint.input().size()), Buffer<Real>(parameters[0].size())};
  std::copy(adjoint.input().begin(), adjoint.input().end(), g.input.begin());
  std::copy(parameters[0].begin(), parameters[0].end(), g.theta.begin());
  return g;
}

/// Central difference of the loss by a number that every rank has.
double slope(Recurrent& problem, Real& x) {
  constexpr double kStep = 1e-5;
  const Real at = x;
  const auto loss_at = [&](double value) {
    x = value;
    problem.propagate();
    return problem.loss();
  };
  const double difference = loss_at(at + kStep) - loss_at(at - kStep);
  x = at;
  return difference / (2 * kStep);
}

class RecurrentTest : public ::testing::TestWithParam<std::tuple<const char*, Index>> {};

TEST_P(RecurrentTest, GradientsAreThoseOfCentralDifferences) {
  const auto& [linear, steps] = GetParam();
  Recurrent problem(world(), steps);
  const Gradients g = gradients(problem, linear);
  // Truncation h^2 and rounding eps / h, both well below this for losses of size 1 to 100.
  constexpr double kTolerance = 1e-7;
  for (Index i = 0; i < g.input.size(); ++i) {
    const double expected = slope(problem, problem.states().input().data()[i]);
    EXPECT_NEAR(g.input[i], expected, kTolerance * (1 + std::abs(expected)));
  }
  for (Index i = 0; i < g.theta.size(); ++i) {
    const double expected = slope(problem, problem.theta()(i));
    EXPECT_NEAR(g.theta[i], expected, kTolerance * (1 + std::abs(expected)));
  }
}

TEST_P(RecurrentTest, GradientsAreThoseOfOneRank) {
  const auto& [linear, steps] = GetParam();
  Recurrent together(world(), steps);
  const parallel::Communicator self = parallel::Communicator::self();
  Recurrent alone(self, steps);
  const Gradients found = gradients(together, linear), expected = gradients(alone, "sequential");
  // Sums of `steps` terms in another order.
  const double tolerance =
      100 * static_cast<double>(steps) * std::numeric_limits<double>::epsilon();
  EXPECT_LE(test::relative_difference(world(), found.input.data(), expected.input.data(),
                                      found.input.size()),
            tolerance);
  EXPECT_LE(test::relative_difference(world(), found.theta.data(), expected.theta.data(),
                                      found.theta.size()),
            tolerance);
  // Every rank updates its copy: the bits must be equal.
  for (Index i = 0; i < found.theta.size(); ++i) {
    EXPECT_EQ(world().max(found.theta[i]), found.theta[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RecurrentTest,
                         ::testing::Combine(::testing::Values("sequential", "pcr", "hybrid"),
                                            ::testing::Values<Index>(1, 3, 14)));

TEST(Recurrent, NewtonFindsItsStates) {
  constexpr Index kSteps = 40;
  Recurrent problem(world(), kSteps);
  sequence::Trajectory& z = problem.states();
  Buffer<Real> expected(z.states().size());
  std::copy(z.states().begin(), z.states().end(), expected.begin());
  z.fill_with_input();
  const SolveReport report = Newton({}).solve(problem.chain(), z);
  EXPECT_EQ(report.status, Status::converged);
  // A chain that does not expand adds up the residuals of its steps at most.
  for (Index i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(z.states().data()[i], expected[i], kSteps * report.tolerance);
}

}  // namespace
}  // namespace deeppcr::nonlinear
