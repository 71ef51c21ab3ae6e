// Pipelines on every layout, with micro-batches and blocks that do not divide: states, gradients
// and idle ticks.
#include "nonlinear/pipeline.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "support/environment.hpp"
#include "support/layouts.hpp"
#include "support/leaky_cell.hpp"
#include "support/model_options.hpp"
#include "support/refusal.hpp"

namespace deeppcr::nonlinear {
namespace {

using parallel::BlockLayout;
using test::world;

constexpr int kWidth = 5, kInputs = 2;
constexpr const char* kCell = "cell";  // recurrent, with inputs and shared weights

/// A chain with its states on some ranks.
struct Problem {
  Problem(const parallel::Communicator& comm, const std::string& model, const BlockLayout& layout,
          Index batch)
      : z(comm, layout, batch, kWidth) {
    const StepSet local = z.local_steps();
    if (model == kCell) {
      inputs.reset(local.size() * batch * kInputs);
      for (Index i = 0; i < local.size(); ++i)
        RandomStream(6, 1).normal(local.step(i) * batch * kInputs, batch * kInputs,
                                  inputs.data() + i * batch * kInputs);
      steps = std::make_unique<test::LeakyCell>(layout.num_steps(), kWidth, kInputs);
      chain = steps->bound_to({local, {inputs.data(), {local.size(), batch, kInputs}}});
    } else {
      models::ModelOptions options;
      options.model = model;
      options.steps = layout.num_steps();
      options.width = kWidth;
      test::set_where_known(options, "gain", 2.0);
      chain = models::make(options, local);
    }
    RandomStream(17, 1).normal(0, z.input().size(), z.input().data());
    z.fill_with_zero();
  }

  /// The loss: half the squares of the states from this one on.
  ConstStates loss() const {
    const StepSet local = z.local_steps();
    Index silent = 0;
    while (silent < local.size() && local.step(silent) < first_with_loss) ++silent;
    return z.states().slice(silent, local.size());
  }

  std::unique_ptr<sequence::Sequence> steps, chain;
  Buffer<Real> inputs;
  sequence::Trajectory z;
  Index first_with_loss = z.layout().num_steps() / 2;
};

struct Gradients {
  Gradients(Problem& problem, std::unique_ptr<Backward> backward)
      : of(problem.chain->parameters()), adjoint(*problem.chain, problem.z, std::move(backward)) {
    for (int g = 0; g < of.groups(); ++g) std::fill(of[g].begin(), of[g].end(), 7.0);
    for (int i = 0; i < 2; ++i)  // work space is used again
      adjoint.solve(problem.loss(), &of, [&](StepRange range) { heard.push_back(range); });
    adjoint.share_input();
  }
  sequence::ParameterGradients of;
  std::vector<StepRange> heard;
  Adjoint adjoint;
};

/// The whole chain on each rank alone, step after step.
struct Reference {
  Reference(const std::string& model, Index steps, Index batch, Index first_with_loss)
      : comm(parallel::Communicator::self()),
        problem(comm, model, BlockLayout::balanced(steps, 1), batch) {
    sequence::propagate(*problem.chain, problem.z);
    problem.first_with_loss = first_with_loss;
    gradients = std::make_unique<Gradients>(problem, make_backward("sequential"));
  }
  parallel::Communicator comm;
  Problem problem;
  std::unique_ptr<Gradients> gradients;
};

bool same_bits(View<const Real, 2> a, View<const Real, 2> b) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(Real)) == 0;
}

/// Largest |a - b| over the largest |b| of `all`.
template <typename Values, typename All>
void expect_close(const Values& a, const Values& b, const All& all, const char* what) {
  double difference = 0, size = 0;
  for (Index i = 0; i < a.size(); ++i)
    difference = std::max(difference, std::abs(a.data()[i] - b.data()[i]));
  for (const Real value : all) size = std::max(size, std::abs(value));
  EXPECT_LE(difference, 1e-12 * size) << what;
}

void expect_states(const Problem& found, const Reference& reference) {
  const StepSet local = found.z.local_steps();
  for (Index i = 0; i < local.size(); ++i) {
    ASSERT_TRUE(same_bits(found.z.states()[i], reference.problem.z.states()[local.step(i)]))
        << "after step " << local.step(i);
  }
}

void expect_gradients(Problem& problem, const Reference& reference, Index micro_batches) {
  BackwardSettings settings;
  settings.micro_batches = micro_batches;
  const Gradients found(problem, make_backward("pipeline", settings));
  const Gradients& expected = *reference.gradients;
  const StepSet local = problem.z.local_steps();
  const auto all = expected.adjoint.states();
  for (Index i = 0; i < local.size(); ++i) {
    const auto ours = found.adjoint.states()[i], theirs = all[local.step(i)];
    expect_close(ours, theirs, all, "states");
  }
  expect_close(found.adjoint.input(), expected.adjoint.input(), expected.adjoint.input(), "input");
  for (int g = 0; g < found.of.groups(); ++g) {
    const View<Real, 2> ours = found.of[g], theirs = expected.of[g];
    if (found.of.shared(g)) {
      expect_close(ours, theirs, theirs, "shared parameters");
      continue;
    }
    for (Index i = 0; i < local.size(); ++i)
      expect_close(ours[i], theirs[local.step(i)], theirs, "parameters");
  }
  // Each range once in each pass, from the last to the first.
  const Index ranges = local.num_ranges();
  ASSERT_EQ(static_cast<Index>(found.heard.size()), 2 * ranges);
  for (Index k = 0; k < 2 * ranges; ++k)
    EXPECT_EQ(found.heard[static_cast<std::size_t>(k)], local.range(ranges - 1 - k % ranges));
}

class AnyPipeline : public ::testing::TestWithParam<std::tuple<const char*, Index>> {};

TEST_P(AnyPipeline, IsSequentialExecution) {
  const auto& [model, batch] = GetParam();
  const Index P = world().size();
  for (const Index steps : {Index{0}, Index{1}, Index{2}, P, 3 * P + 1, Index{37}}) {
    const Reference reference(model, steps, batch, steps / 2);
    for (const auto& [name, layout] : test::all_layouts(steps, world().size()))
      for (const Index micro_batches : {Index{0}, Index{1}, Index{2}, Index{3}, batch}) {
        if (micro_batches > batch) continue;
        SCOPED_TRACE(fmt::format("L {}, {}, M {}", steps, name, micro_batches));
        Problem problem(world(), model, layout, batch);
        Pipeline pipeline({PipelineLayout::automatic, micro_batches, 0});
        const SolveReport report = pipeline.solve(*problem.chain, problem.z);
        EXPECT_EQ(report.status, Status::converged);
        EXPECT_EQ(report.exact_states, steps);
        EXPECT_LE(report.pipeline->idle, report.pipeline->idle_by_formula + 1e-12);
        expect_states(problem, reference);
        expect_gradients(problem, reference, micro_batches);
      }
  }
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<const char*, Index>>& one) {
  return fmt::format("{}_B{}", std::get<0>(one.param), std::get<1>(one.param));
}

INSTANTIATE_TEST_SUITE_P(Chains, AnyPipeline,
                         ::testing::Combine(::testing::Values("mlp", "resnet", "affine", kCell),
                                            ::testing::Values<Index>(1, 3, 8)),
                         case_name);

// The product backward of one sample has other bits, and a loss has other bits at the ends of
// ranges than between them.
TEST(Pipeline, GradientsOfStatesHaveTheBitsOfSequentialSubstitution) {
  constexpr Index kSteps = 50, kBatch = 27;
  for (const char* model : {"mlp", "resnet", kCell}) {
    const Reference reference(model, kSteps, kBatch, kSteps - 1);
    for (const auto& [name, layout] : test::all_layouts(kSteps, world().size())) {
      if (layout.is_replicated() && world().size() > 1) continue;
      Problem problem(world(), model, layout, kBatch);
      problem.first_with_loss = kSteps - 1;
      Pipeline().solve(*problem.chain, problem.z);
      for (const Index micro_batches : {3, 8, 13}) {
        BackwardSettings settings;
        settings.micro_batches = micro_batches;
        const Gradients found(problem, make_backward("pipeline", settings));
        const StepSet local = problem.z.local_steps();
        for (Index i = 0; i < local.size(); ++i)
          EXPECT_TRUE(same_bits(found.adjoint.states()[i],
                                reference.gradients->adjoint.states()[local.step(i)]))
              << model << ", " << name << ", M " << micro_batches << ", step " << local.step(i);
      }
    }
  }
}

TEST(Pipeline, CountsTheIdleTicksOfItsFormula) {
  const int P = world().size();
  for (const Index rounds : {1, 2, 5})
    for (const Index micro_batches : {P, 2 * P, 3 * P}) {
      const Index block = 3, batch = 2 * micro_batches;
      const auto layout = BlockLayout::dealt(rounds * P * block, P, block);
      Problem problem(world(), "mlp", layout, batch);
      const SolveReport report = Pipeline({PipelineLayout::interleaved, micro_batches, block})
                                     .solve(*problem.chain, problem.z);
      const auto V = static_cast<double>(rounds), M = static_cast<double>(micro_batches);
      const double ticks = (V - 1) * std::max<double>(M, P) + M + P - 1;
      EXPECT_NEAR(report.pipeline->idle, 1 - V * M / ticks, 1e-12);
      EXPECT_NEAR(report.pipeline->idle_by_formula, 1 - V * M / ticks, 1e-12);
      const Index hops = P == 1 ? 0 : rounds * P - 1;
      EXPECT_EQ(report.neighbours.messages, hops * micro_batches);
      EXPECT_EQ(report.neighbours.bytes, hops * (batch * kWidth + micro_batches) * 8);
    }
}

/// Ticks until the last block is through, counted block by block.
double counted_ticks(const BlockLayout& layout, Index micro_batches) {
  std::vector<double> rank(static_cast<std::size_t>(layout.num_ranks()));
  std::vector<double> ready(static_cast<std::size_t>(micro_batches));
  for (const parallel::OwnedRange& block : layout.ranges())
    for (double& carry : ready) {
      double& clock = rank[static_cast<std::size_t>(block.owner)];
      clock = carry = std::max(clock, carry) + 1;
    }
  return *std::max_element(rank.begin(), rank.end());
}

TEST(PipelinePlan, TicksOfManyRanksAreCountedOnes) {
  if (!world().is_root()) return;
  for (const int ranks : {1, 2, 64, 1024})
    for (const Index blocks : {Index{1}, Index{ranks}, Index{3 * ranks}, Index{7 * ranks - 1}})
      for (const Index micro_batches : {1, 2, 32, 64, 1000, 4096}) {
        const auto layout = BlockLayout::dealt(8 * blocks, ranks, 8);
        const PipelinePlan plan(layout, 2 * micro_batches, micro_batches);
        EXPECT_EQ(plan.ticks(), counted_ticks(layout, micro_batches))
            << ranks << " ranks, " << blocks << " blocks, " << micro_batches << " micro-batches";
      }
}

TEST(PipelinePlan, ChoosesWhatPromisesTheFewestTicks) {
  // Interleaved: as many as ranks. Contiguous: more, until steps of few samples cost too much.
  const nonlinear::Problem problem{4096, 64, 16, 4};
  const PipelinePlan interleaved = plan_pipeline({}, problem);
  EXPECT_EQ(interleaved.report(1).layout, "interleaved");
  EXPECT_EQ(interleaved.batches().num_ranks(), 4);
  EXPECT_LE(interleaved.block_steps() * 16 * 17 * 8, machine().block_bytes);
  const PipelinePlan contiguous = plan_pipeline({PipelineLayout::contiguous, 0, 0}, problem);
  EXPECT_GT(contiguous.batches().num_ranks(), 4);
  EXPECT_LT(interleaved.time_share(), contiguous.time_share());
}

TEST(PipelinePlan, BlocksAreAsShortAsTheirOwnWeightsAskFor) {
  // A rank has 1024 steps: eight blocks at least, and the shortest that there are of wide layers.
  nonlinear::Problem problem{4096, 64, 256, 4};
  EXPECT_EQ(plan_pipeline({}, problem).block_steps(), 8);
  problem.weight_bytes = 0;
  EXPECT_EQ(plan_pipeline({}, problem).block_steps(), 128);
  EXPECT_EQ(plan_pipeline({}, problem).report(1).layout, "interleaved");
  problem.weight_bytes = machine().block_bytes / 64;
  EXPECT_EQ(plan_pipeline({}, problem).block_steps(), 64);
}

TEST(PipelinePlan, PromisesMuchForManySamplesOnly) {
  EXPECT_TRUE(promises_pipeline({4096, 32, 64, 2}));
  EXPECT_TRUE(promises_pipeline({4096, 64, 64, 8}));
  EXPECT_FALSE(promises_pipeline({4096, 32, 64, 1}));
  EXPECT_FALSE(promises_pipeline({4096, 8, 64, 2}));
  EXPECT_FALSE(promises_pipeline({1, 1000, 64, 2}));
  EXPECT_FALSE(promises_pipeline({0, 1000, 64, 2}));
}

TEST(PipelinePlan, RefusesWhatDoesNotFit) {
  const auto plan = [](const PipelineOptions& options) {
    return test::refusal([&] { plan_pipeline(options, {100, 8, 4, 2}); });
  };
  EXPECT_NE(plan({PipelineLayout::automatic, 9, 0}).find("--micro-batches 9"), std::string::npos);
  EXPECT_NE(plan({PipelineLayout::interleaved, 0, 101}).find("--block-steps 101"),
            std::string::npos);
}

TEST(Pipeline, ALinearSolverBackwardNeedsOneRangeARank) {
  if (world().size() == 1) return;
  const auto layout = BlockLayout::dealt(100, world().size(), 3);
  Problem problem(world(), "mlp", layout, 4);
  EXPECT_THROW(Adjoint(*problem.chain, problem.z, make_backward("hybrid")), Error);
}

}  // namespace
}  // namespace deeppcr::nonlinear
