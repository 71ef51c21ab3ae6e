#include "deeppcr/sequence/propagate.hpp"

#include <gtest/gtest.h>

#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"

namespace deeppcr::sequence {
namespace {

using test::ModelProblem;
using test::world;

models::ModelOptions mlp(Index steps, int width) {
  models::ModelOptions options;
  options.steps = steps;
  options.width = width;
  return options;
}

/// All states on one rank alone: what the ranks together must find.
Buffer<Real> on_one_rank(const models::ModelOptions& options, Index batch) {
  const parallel::Communicator self = parallel::Communicator::self();
  ModelProblem alone(self, options, parallel::BlockLayout::balanced(options.steps, 1), batch);
  propagate(*alone.sequence, alone.trajectory);
  Buffer<Real> states(alone.trajectory.states().size());
  std::copy_n(alone.trajectory.states().data(), states.size(), states.data());
  return states;
}

TEST(Propagate, GivesTheSameOnAnyNumberOfRanks) {
  for (const Index steps : {0, 1, 2, 3, 33}) {
    const models::ModelOptions options = mlp(steps, 5);
    ModelProblem problem(world(), options, test::uneven_layout(steps, world().size()), 3);
    propagate(*problem.sequence, problem.trajectory);
    const Buffer<Real> expected = on_one_rank(options, 3);
    const ConstStates found = problem.trajectory.states();
    const Real* here = expected.data() + problem.trajectory.local_range().first * 15;
    for (Index i = 0; i < found.size(); ++i) ASSERT_EQ(found.data()[i], here[i]);
  }
}

TEST(Propagate, StartsBehindTheFrozenStates) {
  const Index steps = 12;
  const models::ModelOptions options = mlp(steps, 4);
  const Buffer<Real> expected = on_one_rank(options, 2);
  for (const Index frozen : {0, 1, 5, 11, 12}) {
    ModelProblem problem(world(), options, test::uneven_layout(steps, world().size()), 2);
    const StepRange local = problem.trajectory.local_range();
    for (Index i = 0; i < local.size(); ++i) {
      for (Index j = 0; j < 8; ++j) {
        problem.trajectory.states().data()[i * 8 + j] =
            local.first + i < frozen ? expected[(local.first + i) * 8 + j] : 1e30;
      }
    }
    propagate(*problem.sequence, problem.trajectory, frozen);
    const ConstStates found = problem.trajectory.states();
    for (Index i = 0; i < found.size(); ++i)
      ASSERT_EQ(found.data()[i], expected[local.first * 8 + i]) << "frozen " << frozen;
  }
}

}  // namespace
}  // namespace deeppcr::sequence
