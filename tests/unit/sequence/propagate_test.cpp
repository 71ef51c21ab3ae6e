#include "deeppcr/sequence/propagate.hpp"

#include <gtest/gtest.h>

#include "support/environment.hpp"
#include "support/layouts.hpp"
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

/// The states that this rank holds, of those of all steps.
void expect_bits(const Trajectory& found, const Buffer<Real>& all) {
  const StepSet local = found.local_steps();
  const Index state = found.batch() * found.width();
  ASSERT_EQ(found.states().extent(0), local.size());
  for (Index row = 0; row < local.size(); ++row)
    for (Index j = 0; j < state; ++j)
      ASSERT_EQ(found.states().data()[row * state + j], all[local.step(row) * state + j])
          << "step " << local.step(row);
}

TEST(Propagate, GivesTheBitsOfOneRankInAnyLayout) {
  for (const Index steps : test::degenerate_sizes()) {
    const models::ModelOptions options = mlp(steps, 5);
    const Buffer<Real> expected = on_one_rank(options, 3);
    for (const auto& [name, layout] : test::all_layouts(steps, world().size())) {
      SCOPED_TRACE(name + ", L = " + std::to_string(steps));
      ModelProblem problem(world(), options, layout, 3);
      parallel::Traffic traffic;
      propagate(*problem.sequence, problem.trajectory, 0, &traffic);
      expect_bits(problem.trajectory, expected);
      Index hops = -1;  // between ranges; none where each rank does all
      for (const parallel::OwnedRange& part : layout.ranges()) hops += part.steps.empty() ? 0 : 1;
      if (layout.is_replicated()) hops = 0;
      EXPECT_EQ(traffic.messages, std::max<Index>(hops, 0));
      EXPECT_EQ(traffic.bytes, traffic.messages * 3 * 5 * Index{sizeof(Real)});
    }
  }
}

TEST(Propagate, StartsBehindTheFrozenStates) {
  const Index steps = 12;
  const models::ModelOptions options = mlp(steps, 4);
  const Buffer<Real> expected = on_one_rank(options, 2);
  for (const auto& [name, layout] : test::all_layouts(steps, world().size())) {
    for (Index frozen = 0; frozen <= steps; ++frozen) {
      SCOPED_TRACE(name + ", frozen " + std::to_string(frozen));
      ModelProblem problem(world(), options, layout, 2);
      const StepSet local = problem.trajectory.local_steps();
      const States states = problem.trajectory.states();
      std::fill_n(states.data(), states.size(), 1e30);
      for (Index row = 0; row < local.size() && local.step(row) < frozen; ++row)
        std::copy_n(expected.data() + local.step(row) * 8, 8, states.data() + row * 8);
      propagate(*problem.sequence, problem.trajectory, frozen);
      expect_bits(problem.trajectory, expected);
    }
  }
}

}  // namespace
}  // namespace deeppcr::sequence
