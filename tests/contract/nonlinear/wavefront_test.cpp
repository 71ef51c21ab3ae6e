// Wavefronts through stacked cells: states, gradients, messages and idle ticks.
#include "nonlinear/wavefront.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "nonlinear/wavefront_plan.hpp"
#include "support/environment.hpp"
#include "support/identifier.hpp"
#include "support/layouts.hpp"
#include "support/model_problem.hpp"
#include "support/refusal.hpp"

namespace deeppcr::nonlinear {
namespace {

using parallel::BlockLayout;
using test::ModelProblem;
using test::world;

constexpr const char* kCells[] = {"rnn", "gru", "lstm", "para-gru", "para-lstm"};

/// A stack by its model, its height, and how long it runs.
struct Stack {
  std::string model;
  int layers;
  Index steps;
  Index batch = 1;
  bool masked = false;

  models::ModelOptions options() const {
    models::ModelOptions made;
    made.model = model;
    made.steps = steps;
    made.width = 5;
    made.set("layers", layers).set("features", 3);
    return made;
  }
  std::vector<Index> lengths() const {
    std::vector<Index> all;
    for (Index b = 0; b < batch && masked; ++b) all.push_back(std::max<Index>(0, steps - 3 * b));
    return all;
  }
  ModelProblem problem(const parallel::Communicator& comm, const BlockLayout& layout) const {
    return {comm, options(), layout, batch, lengths()};
  }
  std::string text() const {
    return fmt::format("{} layers of {}, L {}, B {}{}", layers, model, steps, batch,
                       masked ? ", masked" : "");
  }
};

bool same_bits(ConstState a, ConstState b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(Real)) == 0;
}

/// All stacks and lengths, with and without samples that end early.
std::vector<Stack> stacks(const std::string& model) {
  std::vector<Stack> all;
  const Index P = world().size();
  for (const int layers : {1, 2, 3})
    for (const Index steps : {Index{0}, Index{1}, Index{2}, Index{3}, P, Index{33}, Index{120}}) {
      all.push_back({model, layers, steps});
      all.push_back({model, layers, steps, 3, true});
    }
  return all;
}

/// Half the squares of the states from this one on.
struct Loss {
  Index first;
  ConstStates of(const sequence::Trajectory& z) const {
    const StepRange local = z.local_range();
    const Index silent = std::clamp(first - local.first, Index{0}, local.size());
    return z.states().slice(silent, local.size());
  }
};

struct Gradients {
  Gradients(ModelProblem& problem, const Loss& loss, std::unique_ptr<Backward> backward)
      : of(problem.sequence->parameters()),
        adjoint(*problem.sequence, problem.trajectory, std::move(backward)) {
    for (int i = 0; i < 2; ++i)  // work space is used again
      adjoint.solve(loss.of(problem.trajectory), &of,
                    [&](StepRange range) { heard.push_back(range); });
    adjoint.share_input();
  }
  sequence::ParameterGradients of;
  std::vector<StepRange> heard;
  Adjoint adjoint;
};

/// The whole chain on each rank alone, step after step.
struct Reference {
  Reference(const Stack& stack, const Loss& loss)
      : comm(parallel::Communicator::self()),
        problem(stack.problem(comm, BlockLayout::balanced(stack.steps, 1))) {
    sequence::propagate(*problem.sequence, problem.trajectory);
    gradients = std::make_unique<Gradients>(problem, loss, make_backward("sequential"));
  }
  parallel::Communicator comm;
  ModelProblem problem;
  std::unique_ptr<Gradients> gradients;
};

void expect_states(const ModelProblem& found, const Reference& reference) {
  const StepRange local = found.trajectory.local_range();
  for (Index l = local.first; l < local.last; ++l)
    ASSERT_TRUE(same_bits(found.trajectory.states()[l - local.first],
                          reference.problem.trajectory.states()[l]))
        << "after step " << l;
}

/// Chunks of one row have other bits backward.
void expect_gradients(ModelProblem& problem, const Loss& loss, const Reference& reference,
                      Index chunk_steps) {
  BackwardSettings settings;
  settings.chunk_steps = chunk_steps;
  const Gradients found(problem, loss, make_backward("wavefront", settings));
  const Gradients& expected = *reference.gradients;
  const StepRange local = problem.trajectory.local_range();
  // One layer goes by sequential substitution, whose ranges may be of fewer rows.
  const bool exact = problem.sequence->layers().size() > 1 &&
                     (chunk_steps == 0 || chunk_steps * problem.trajectory.batch() >= 2);
  const auto expect_close = [](ConstState ours, ConstState theirs, const std::string& what) {
    for (Index i = 0; i < ours.size(); ++i)
      ASSERT_NEAR(ours.data()[i], theirs.data()[i], 1e-12 * (1 + std::abs(theirs.data()[i])))
          << what;
  };
  for (Index l = local.first; l < local.last; ++l) {
    const ConstState ours = found.adjoint.states()[l - local.first],
                     theirs = expected.adjoint.states()[l];
    const std::string what = fmt::format("gradient by state {}", l + 1);
    if (exact) {
      ASSERT_TRUE(same_bits(ours, theirs)) << what;
    } else {
      expect_close(ours, theirs, what);
    }
  }
  // Sequential substitution has it from one more product.
  expect_close(found.adjoint.input(), expected.adjoint.input(), "gradient by z_0");
  for (int g = 0; g < found.of.groups(); ++g) {
    double size = 0, difference = 0;
    for (Index i = 0; i < found.of[g].size(); ++i) {
      size = std::max(size, std::abs(expected.of[g].data()[i]));
      difference = std::max(difference, std::abs(found.of[g].data()[i] - expected.of[g].data()[i]));
    }
    EXPECT_LE(difference, 1e-12 * size) << "group " << g;
  }
  Index heard = 0;
  for (const StepRange range : found.heard) heard += range.size();
  EXPECT_EQ(heard, 2 * local.size());
}

class AnyCell : public ::testing::TestWithParam<const char*> {};

TEST_P(AnyCell, IsSequentialExecution) {
  for (const Stack& stack : stacks(GetParam())) {
    const Loss loss{stack.layers == 2 ? stack.steps - 1 : stack.steps / 3};
    const Reference reference(stack, loss);
    const auto balanced = BlockLayout::balanced(stack.steps, world().size()),
               uneven = test::uneven_layout(stack.steps, world().size());
    for (const BlockLayout& layout : {balanced, uneven})
      for (const Index chunk_steps : {Index{0}, Index{1}, Index{10}}) {
        const bool enough = layout == uneven && chunk_steps != 10;
        if (chunk_steps > stack.steps || enough) continue;
        SCOPED_TRACE(fmt::format("{}, chunks of {}", stack.text(), chunk_steps));
        ModelProblem found = stack.problem(world(), layout);
        const SolveReport report = Wavefront(chunk_steps).solve(*found.sequence, found.trajectory);
        EXPECT_EQ(report.status, Status::converged);
        EXPECT_EQ(report.exact_states, stack.steps);
        EXPECT_LE(report.pipeline->idle, report.pipeline->idle_by_formula + 1e-12);
        expect_states(found, reference);
        expect_gradients(found, loss, reference, chunk_steps);
      }
  }
}

std::string case_name(const ::testing::TestParamInfo<const char*>& one) {
  return test::as_identifier(one.param);
}

INSTANTIATE_TEST_SUITE_P(Cells, AnyCell, ::testing::ValuesIn(kCells), case_name);

TEST(Wavefront, SendsWhatItsCostSays) {
  for (const int layers : {1, 2, 3, 5}) {
    const Stack stack{"gru", layers, 400, 2};
    const nonlinear::Problem size{400,   2, 5 * layers, world().size(), linear::Passes::forward,
                                  layers};
    models::ModelOptions options = stack.options();
    options.set("features", 5);
    ModelProblem problem(world(), options, Wavefront().layout(size), 2);
    const SolveReport report = Wavefront(30).solve(*problem.sequence, problem.trajectory);
    const Cost cost = Wavefront(30).cost(size, {});
    EXPECT_EQ(report.neighbours.messages, cost.neighbours.messages) << layers;
    EXPECT_EQ(report.neighbours.bytes, cost.neighbours.bytes) << layers;
    EXPECT_LE(report.path.evaluations, cost.path.evaluations);
  }
}

/// Layer steps until the last chunk is through, counted chunk by chunk and rank by rank.
double counted_layer_steps(const WavefrontPlan& plan) {
  std::vector<double> ready(static_cast<std::size_t>(plan.num_chunks()));
  for (int p = 0; p < plan.num_stages(); ++p) {
    double clock = 0;
    for (int c = 0; c < plan.num_chunks(); ++c) {
      double& at = ready[static_cast<std::size_t>(c)];
      clock = at = std::max(clock, at) +
                   static_cast<double>(plan.chunks().count(c) * plan.layers().count(p));
    }
  }
  return ready.back();
}

TEST(WavefrontPlan, ItsPathIsACountedOne) {
  if (!world().is_root()) return;
  for (const int ranks : {1, 2, 3, 8})
    for (const int layers : {1, 2, 3, 4, 7})
      for (const Index steps : {0, 1, 7, 800, 4096}) {
        const nonlinear::Problem problem{steps, 1, 16 * layers, ranks, linear::Passes::forward,
                                         layers};
        const WavefrontPlan plan(problem);
        const double counted = counted_layer_steps(plan);
        const auto chunk = static_cast<double>(plan.chunks().count(0));
        EXPECT_LE(plan.path(counted), plan.path());
        EXPECT_GE(plan.path(counted), plan.path() - plan.num_stages() * chunk / 2);
        EXPECT_EQ(plan.num_stages(), std::min(ranks, layers));
      }
}

TEST(WavefrontPlan, ChunksOfDearStepsAreShort) {
  if (!world().is_root()) return;
  const auto chunk = [](Index batch, int units) {
    return WavefrontPlan({4096, batch, 2 * units, 2, linear::Passes::forward, 2}).chunks().count(0);
  };
  EXPECT_GT(chunk(1, 16), chunk(1, 64));
  EXPECT_GT(chunk(1, 64), chunk(16, 64));
  EXPECT_GE(chunk(1, 1024), 2);
}

TEST(WavefrontPlan, PromisesMuchForStacksOnSeveralRanksOnly) {
  const auto promises = [](Index steps, int units, int layers, int ranks) {
    return promises_wavefront({steps, 1, units * layers, ranks, linear::Passes::forward, layers});
  };
  EXPECT_TRUE(promises(4096, 64, 2, 2));
  EXPECT_TRUE(promises(4096, 64, 2, 8));
  EXPECT_FALSE(promises(4096, 64, 1, 2));
  EXPECT_FALSE(promises(4096, 64, 2, 1));
  EXPECT_FALSE(promises(4, 64, 2, 2));
  EXPECT_FALSE(promises(0, 64, 2, 2));
  EXPECT_FALSE(promises(64, 2, 2, 2));
  EXPECT_FALSE(promises_wavefront({4096, 1, 64, 2}));
}

TEST(WavefrontPlan, RefusesChunksLongerThanTheChain) {
  EXPECT_EQ(test::refusal([] {
              WavefrontPlan({9, 1, 4, 2, linear::Passes::forward, 2}, 10);
            }),
            "--chunk-steps 10: the chain has 9 steps; use shorter chunks, or leave it out");
}

TEST(Wavefront, RefusesAChainWithoutLayers) {
  models::ModelOptions options;
  options.model = "mlp";
  options.steps = 8;
  ModelProblem problem(world(), options, BlockLayout::balanced(8, world().size()), 2);
  EXPECT_EQ(test::refusal([&] { Wavefront().solve(*problem.sequence, problem.trajectory); }),
            "a wavefront goes through stacked recurrent cells, and the steps of this chain are "
            "none; use pipeline, or auto");
}

}  // namespace
}  // namespace deeppcr::nonlinear
