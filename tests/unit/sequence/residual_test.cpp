#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/layouts.hpp"
#include "support/model_problem.hpp"

namespace deeppcr::sequence {
namespace {

using test::ModelProblem;
using test::world;

models::ModelOptions resnet(Index steps) {
  models::ModelOptions options;
  options.model = "resnet";
  options.steps = steps;
  options.width = 4;
  return options;
}

TEST(LargestResidual, FindsAChangeInAnyLayout) {
  for (const Index steps : test::degenerate_sizes()) {
    for (const auto& [name, layout] : test::all_layouts(steps, world().size())) {
      SCOPED_TRACE(name + ", L = " + std::to_string(steps));
      ModelProblem problem(world(), resnet(steps), layout, 2);
      Trajectory& z = problem.trajectory;
      propagate(*problem.sequence, z);
      EXPECT_LE(largest_residual(*problem.sequence, z), 1e-14);
      if (steps == 0) continue;
      // A change of one state of the last owner's changes the last step's residual by as much.
      const StepSet local = z.local_steps();
      if (local.contains(steps - 1)) z.states()(local.row(steps - 1), 1, 2) += 0.5;
      EXPECT_NEAR(largest_residual(*problem.sequence, z), 0.5, 1e-14);
      // A change of the input is seen by the first step only.
      if (local.contains(steps - 1)) z.states()(local.row(steps - 1), 1, 2) -= 0.5;
      z.input()(1, 2) += 0.25;
      EXPECT_GT(largest_residual(*problem.sequence, z), 0.01);
    }
  }
}

TEST(StepNorms, NeverHideNaNOrInfinity) {
  Buffer<Real> r(12);
  r[1] = -3;
  r[5] = std::nan("");
  r[9] = -std::numeric_limits<double>::infinity();
  const std::vector<double> norms = step_norms(ConstStates(r.data(), {3, 2, 2}));
  EXPECT_EQ(norms[0], 3.0);
  EXPECT_FALSE(std::isfinite(norms[1]));
  EXPECT_FALSE(std::isfinite(norms[2]));
}

}  // namespace
}  // namespace deeppcr::sequence
