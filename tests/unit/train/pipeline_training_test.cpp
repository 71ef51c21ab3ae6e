// Training by the schedules of a pipeline: bits, what is held, ticks that are idle.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/images.hpp"
#include "deeppcr/train/trainer.hpp"
#include "support/environment.hpp"
#include "support/model_problem.hpp"
#include "support/random_chain.hpp"
#include "support/refusal.hpp"
#include "train/pipeline_passes.hpp"

namespace deeppcr::train {
namespace {

using plan::PipelineSchedule;

constexpr PipelineSchedule kSchedules[] = {PipelineSchedule::gpipe,
                                           PipelineSchedule::one_forward_one_backward,
                                           PipelineSchedule::zero_bubble};
constexpr Index kImages = 44;

/// What varies from test to test.
struct Case {
  const char* model = "resnet";
  Index steps = 13;
  Index batch = 22;
  int depth_ranks = 1;
  std::optional<TrainingPipeline> pipeline = {};
  std::string loss_rows = {};  ///< of a squared error; cross-entropy without
  int layers = 1;
  bool balanced = false;
};

struct Network {
  Network(const parallel::Communicator& comm, const Case& one)
      : grid(comm, one.depth_ranks, comm.size() / one.depth_ranks),
        images(Images::random(kImages, 1, 0)),
        net(grid, parts_of(one, grid), options_of(one), images),
        batch(one.batch) {}

  static parallel::BlockLayout layout_of(const Case& one) {
    if (one.balanced) return parallel::BlockLayout::balanced(one.steps, one.depth_ranks);
    return test::uneven_layout(one.steps, one.depth_ranks);
  }
  static ChainNetwork::Parts parts_of(const Case& one, const parallel::ProcessGrid& grid) {
    models::ModelOptions model = test::chain_options(one.model, "tanh", "none", one.steps, 6);
    if (one.layers > 1) model.set("block-layers", one.layers);
    models::LossOptions loss;
    if (!one.loss_rows.empty()) {
      loss.name = "squared-error";
      loss.own = OptionValues(models::find_loss(loss.name).options).set("loss-rows", one.loss_rows);
    }
    return {models::make(model, layout_of(one).steps(grid.depth().rank())),
            std::make_unique<models::DenseLayer>(models::LayerRole::embedding, 64, model.width, 1),
            models::make(loss, {model.steps, model.width, 10, 1})};
  }
  static ChainNetwork::Options options_of(const Case& one) {
    ChainNetwork::Options options;
    options.layout = layout_of(one);
    options.batch = one.batch;
    options.methods.pipeline = one.pipeline;
    if (one.pipeline) options.methods.forward = options.methods.backward = "pipeline";
    options.normalisation = {{0.5}, {0.3}};
    options.augmentation = {1, true, 3};
    return options;
  }
  StepOutcome differentiate() {
    std::vector<Index> samples;
    for (Index i = 0; i < kImages; ++i) samples.push_back((7 * i + 3) % kImages);
    return net.differentiate({0, 1, samples.data(), batch});
  }

  parallel::ProcessGrid grid;
  Images images;
  ChainNetwork net;
  Index batch;
};

/// Of each gradient on this rank the largest difference, relative to the largest of its group.
double difference(ChainNetwork& found, ChainNetwork& expected) {
  double most = 0;
  const auto a = found.parameters(), b = expected.parameters();
  for (std::size_t g = 0; g < a.size(); ++g) {
    const StoredArray &own = a[g].array, &all = b[g].array;
    double largest = 1e-300;
    for (Index i = 0; i < all.local_size(); ++i)
      largest = std::max(largest, std::abs(b[g].gradient[i]));
    for (Index i = 0; i < own.local_size(); ++i) {
      const Index row = own.own.step(i / own.row_size);
      const Index at = all.own.row(row) * own.row_size + i % own.row_size;
      most = std::max(most, std::abs(a[g].gradient[i] - b[g].gradient[at]) / largest);
    }
  }
  return most;
}

/// All of this rank.
std::vector<Real> gradients_of(ChainNetwork& network) {
  std::vector<Real> all;
  for (const ParameterGroup& group : network.parameters())
    all.insert(all.end(), group.gradient, group.gradient + group.array.local_size());
  return all;
}

/// Two steps on each rank, all of them in depth.
Case even_case(Index batch, const TrainingPipeline& pipeline) {
  Case split;
  split.depth_ranks = test::world().size();
  split.steps = 2 * split.depth_ranks;
  split.balanced = true;
  split.batch = batch;
  split.pipeline = pipeline;
  return split;
}

/// Over all images, by the optimiser's defaults.
Trainer::Options training(const Case& one, const Delay& delay) {
  Trainer::Options options;
  options.optimiser.own = OptionValues(find_optimiser(options.optimiser.rule).options);
  options.samples = kImages;
  options.batch = one.batch;
  options.delay = delay;
  return options;
}

/// W(t + 1) = W(t) - rate g.
Trainer::Options descent(const Case& one, const Delay& delay, double rate) {
  Trainer::Options options = training(one, delay);
  options.optimiser.rule = "sgd";
  options.optimiser.own = OptionValues(find_optimiser("sgd").options);
  options.optimiser.own.set("momentum", 0).set("weight-decay", 0);
  options.schedule.name = "constant";
  options.schedule.peak = rate;
  return options;
}

const Case kCases[] = {{"resnet"},
                       {"mlp"},
                       {"resnet", 13, 22, 1, {}, "2,5,13"},
                       {"resnet", 3},
                       {"resnet", 9, 22, 1, {}, "every", 2},
                       {"resnet", 300},  // several pieces a rank
                       {"mlp", 300, 22, 1, {}, "20,150,299,300"}};

TEST(PipelineTraining, HasTheBitsOfOneRankInAllSchedules) {
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = test::world().size();
  for (const Case& one : kCases) {
    Case whole = one;
    Network expected(self, whole);
    const double loss = expected.differentiate().loss;
    for (const Index M : {Index{1}, Index{4}, Index{5}, Index{11}}) {
      Case alone = one;
      alone.pipeline = TrainingPipeline{PipelineSchedule::gpipe, M, false};
      Network accumulated(self, alone);
      EXPECT_NEAR(accumulated.differentiate().loss, loss, 1e-13 * std::abs(loss));
      EXPECT_LE(difference(accumulated.net, expected.net), 1e-12);
      std::optional<std::vector<Real>> first;
      for (const PipelineSchedule schedule : kSchedules) {
        for (const bool recompute : {false, true}) {
          SCOPED_TRACE(fmt::format("{} {} {}, {}, M = {}", one.model, one.steps, one.loss_rows,
                                   plan::pipeline_schedules().of(schedule), M));
          Case split = one;
          split.depth_ranks = P;
          split.pipeline = TrainingPipeline{schedule, M, recompute};
          Network network(test::world(), split);
          for (int again = 0; again < 2; ++again)
            EXPECT_NEAR(network.differentiate().loss, loss, 1e-13 * std::abs(loss));
          // Where a stage begins, the gradient of an inner row is added in another order.
          EXPECT_LE(difference(network.net, accumulated.net), one.loss_rows.empty() ? 0 : 1e-14);
          if (!first) first = gradients_of(network.net);
          EXPECT_TRUE(gradients_of(network.net) == *first);
        }
      }
    }
  }
}

TEST(PipelineTraining, IsThatOfOneRankOnEveryGrid) {
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = test::world().size();
  for (int depth = 1; depth <= P; ++depth) {
    if (P % depth != 0) continue;
    for (const PipelineSchedule schedule : kSchedules) {
      Case split;
      split.depth_ranks = depth;
      const Index smallest = split.batch / (P / depth);
      split.pipeline = TrainingPipeline{schedule, std::min<Index>(3, smallest), false};
      Network together(test::world(), split), alone(self, Case());
      Trainer::Options options;
      options.optimiser.own = OptionValues(find_optimiser(options.optimiser.rule).options);
      options.optimiser.clip_norm = 0.1;
      options.schedule.peak = 1e-2;
      options.samples = kImages;
      options.batch = split.batch;
      Trainer trainer(together.grid, together.net, options), one(alone.grid, alone.net, options);
      for (int u = 0; u < 5; ++u) {
        const StepRecord found = trainer.step(), expected = one.step();
        EXPECT_NEAR(found.outcome.loss, expected.outcome.loss, 1e-12);
        EXPECT_NEAR(found.gradient_norm, expected.gradient_norm, 1e-11);
        EXPECT_EQ(found.outcome.accuracy, expected.outcome.accuracy);
      }
      const Evaluation found = together.net.evaluate(together.images);
      const Evaluation expected = alone.net.evaluate(alone.images);
      EXPECT_EQ(found.confusion, expected.confusion);
      EXPECT_NEAR(found.loss, expected.loss, 1e-11);
    }
  }
}

/// All parameters of a rank.
std::vector<Real> parameters_of(ChainNetwork& network) {
  std::vector<Real> all;
  for (const ParameterGroup& group : network.parameters())
    all.insert(all.end(), group.array.values, group.array.values + group.array.local_size());
  return all;
}

void set_parameters(ChainNetwork& network, const std::vector<Real>& from) {
  auto at = from.begin();
  for (ParameterGroup& group : network.parameters()) {
    std::copy_n(at, group.array.local_size(), group.array.values);
    at += group.array.local_size();
  }
}

/// Of each parameter on this rank the largest difference from those of one rank.
double distance(ChainNetwork& found, ChainNetwork& expected) {
  double most = 0;
  const auto a = found.parameters(), b = expected.parameters();
  for (std::size_t g = 0; g < a.size(); ++g) {
    const StoredArray &own = a[g].array, &all = b[g].array;
    for (Index i = 0; i < own.local_size(); ++i) {
      const Index row = own.own.step(i / own.row_size);
      const Index at = all.own.row(row) * own.row_size + i % own.row_size;
      most = std::max(most, std::abs(own.values[i] - all.values[at]));
    }
  }
  return most;
}

/// Of each parameter of a network on one rank, in order: the stage that would hold it.
std::vector<int> stages_of(ChainNetwork& network, const parallel::BlockLayout& layout) {
  std::vector<int> stages;
  const std::vector<ParameterGroup> groups = network.parameters();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const StoredArray& array = groups[g].array;
    for (Index i = 0; i < array.local_size(); ++i) {
      int stage = layout.num_ranks() - 1;  // of the head
      if (array.rows == layout.num_steps()) {
        stage = 0;
        while (layout.range(stage).last <= i / array.row_size) ++stage;
      } else if (array.name == "embedding") {
        stage = 0;
      }
      stages.push_back(stage);
    }
  }
  return stages;
}

/// W(t + 1) = W(t) - eta g(W(t - 1)), in a loop on one rank that knows no delay.
TEST(PipelineTraining, DelayedGradientsAreThoseAtTheWeightsBeforeTheLastUpdate) {
  const parallel::Communicator self = parallel::Communicator::self();
  constexpr double kRate = 0.05;
  for (const OldWeightsRule rule :
       {OldWeightsRule::keep, OldWeightsRule::exact, OldWeightsRule::average}) {
    Case split, alone;
    split.depth_ranks = test::world().size();
    split.pipeline = TrainingPipeline{PipelineSchedule::delayed, 8, false};
    const Trainer::Options options = descent(split, {1, rule}, kRate);
    Network together(test::world(), split), one(self, alone);
    Trainer trainer(together.grid, together.net, options);
    SampleOrder order(kImages, split.batch, options.seed);
    std::vector<Real> before = parameters_of(one.net), newest = before;
    for (Index t = 0; t < 6; ++t) {
      set_parameters(one.net, before);
      const double loss =
          one.net.differentiate({t, order.epoch_of(t), order.batch(t), split.batch}).loss;
      const std::vector<Real> g = gradients_of(one.net);
      before = newest;
      for (std::size_t i = 0; i < g.size(); ++i) newest[i] -= kRate * g[i];
      EXPECT_NEAR(trainer.step().outcome.loss, loss, 1e-12);
      set_parameters(one.net, newest);
      EXPECT_LE(distance(together.net, one.net), 1e-13);
    }
    set_parameters(one.net, before);
    EXPECT_GT(distance(together.net, one.net), 1e-4);
  }
}

/// In rows of several updates, without a flush, the numbers of update by update; idle once a row.
TEST(PipelineTraining, DelayedBatchesInARowHaveTheBitsOfOneByOne) {
  const int P = test::world().size();
  for (int depth = 1; depth <= P; ++depth) {
    if (P % depth != 0) continue;
    for (const char* rule : {"sgd", "adamw"}) {
      for (const Delay& delay : {Delay{1, OldWeightsRule::keep}, Delay{1, OldWeightsRule::average},
                                 Delay{3, OldWeightsRule::keep}, Delay{2, OldWeightsRule::exact},
                                 Delay{4, OldWeightsRule::average}}) {
        const bool recompute = delay.updates > 1;
        SCOPED_TRACE(fmt::format("{} of {} depth ranks, {}, delay {} {}", depth, P, rule,
                                 delay.updates, old_weights_rules().of(delay.rule)));
        Case split;
        split.steps = 2 * depth + 1;
        const Index data_ranks = P / depth, samples = std::min<Index>(8, kImages / data_ranks);
        split.batch = data_ranks * samples;
        split.depth_ranks = depth;
        split.pipeline = TrainingPipeline{PipelineSchedule::delayed, samples, recompute};
        Trainer::Options options;
        options.optimiser.rule = rule;
        options.optimiser.own = OptionValues(find_optimiser(rule).options);
        options.schedule.peak = 1e-2;
        options.samples = kImages;
        options.batch = split.batch;
        options.optimiser.clip_norm = recompute ? 0.1 : 0;
        options.delay = delay;
        Network one(test::world(), split), row(test::world(), split);
        EXPECT_TRUE(row.net.flows());
        Trainer by_one(one.grid, one.net, options), in_rows(row.grid, row.net, options);
        for (const Index most : {5, 1, 2, 7}) {  // over the ends of epochs, too
          const std::vector<StepRecord> found = in_rows.steps(most);
          ASSERT_EQ(static_cast<Index>(found.size()), most);
          for (const StepRecord& record : found) {
            const StepRecord expected = by_one.step();
            EXPECT_EQ(record.step, expected.step);
            EXPECT_EQ(record.drift.has_value(), expected.drift.has_value());
            EXPECT_NEAR(record.drift.value_or(0), expected.drift.value_or(0), 1e-12);
            EXPECT_EQ(record.outcome.accuracy, expected.outcome.accuracy);
            EXPECT_NEAR(record.outcome.loss, expected.outcome.loss, 1e-13);
            EXPECT_NEAR(record.gradient_norm, expected.gradient_norm, 1e-12);
          }
          const std::vector<Real> found_here = parameters_of(row.net);
          const std::vector<Real> expected_here = parameters_of(one.net);
          for (std::size_t i = 0; i < found_here.size();
               ++i)  // norms may be summed in another order
            EXPECT_NEAR(found_here[i], expected_here[i], recompute ? 1e-12 : 0);
          EXPECT_EQ(row.net.evaluate(row.images).confusion, one.net.evaluate(one.images).confusion);
        }
        EXPECT_EQ(in_rows.steps_done(), 15);
      }
    }
  }
}

TEST(PipelineTraining, DelayedBatchesInARowAreIdleOnce) {
  const int P = test::world().size();
  const Case split = even_case(16, {PipelineSchedule::delayed, 8, false});
  const Trainer::Options options = training(split, {1, OldWeightsRule::keep});
  Network network(test::world(), split);
  Trainer trainer(network.grid, network.net, options);
  for (const Index updates : {1, 2, 10}) {
    trainer.steps(updates);
    const PipelineUse use = *network.net.pipeline();
    const double bubble = 3.0 * (P - 1), work = 3.0 * 8 * static_cast<double>(updates);
    EXPECT_NEAR(use.idle, bubble / (work + bubble), 1e-12);
    EXPECT_NEAR(use.idle_by_formula, use.idle, 1e-12);
    EXPECT_EQ(use.held, P);
    EXPECT_EQ(use.updates, updates);
  }
}

/// A loop on one rank that keeps all versions: stage s of P takes the gradient of mini-batch t of a
/// row at its weights of min(t, 2 (P - 1 - s)) updates before.
TEST(PipelineTraining, LayerPipeTakesGradientsAtTheWeightsOfItsStages) {
  const int P = test::world().size();
  const parallel::Communicator self = parallel::Communicator::self();
  constexpr double kRate = 0.05;
  for (const OldWeightsRule rule : {OldWeightsRule::keep, OldWeightsRule::exact}) {
    for (const bool recompute : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", old_weights_rules().of(rule), recompute));
      Case split, alone;
      split.depth_ranks = P;
      split.pipeline = TrainingPipeline{PipelineSchedule::layerpipe, 0, recompute};
      const Trainer::Options options = descent(split, {0, rule, true}, kRate);
      Network together(test::world(), split), one(self, alone);
      Trainer trainer(together.grid, together.net, options);
      SampleOrder order(kImages, split.batch, options.seed);
      const std::vector<int> stages = stages_of(one.net, Network::layout_of(split));
      std::vector<Real> newest = parameters_of(one.net);
      Index t = 0;
      for (const Index most : {9, 1, 4}) {
        const std::vector<StepRecord> records = trainer.steps(most);
        ASSERT_EQ(static_cast<Index>(records.size()), most);
        std::vector<std::vector<Real>> versions{newest};  // of the row
        for (const StepRecord& record : records) {
          std::vector<Real> mixed = newest;
          const auto behind = static_cast<int>(versions.size()) - 1;
          for (std::size_t i = 0; i < mixed.size(); ++i) {
            const int lag = std::min(behind, 2 * (P - 1 - stages[i]));
            mixed[i] = versions[static_cast<std::size_t>(behind - lag)][i];
          }
          set_parameters(one.net, mixed);
          const double loss =
              one.net.differentiate({t, order.epoch_of(t), order.batch(t), split.batch}).loss;
          EXPECT_EQ(record.step, t);
          EXPECT_NEAR(record.outcome.loss, loss, 1e-12);
          const std::vector<Real> g = gradients_of(one.net);
          for (std::size_t i = 0; i < g.size(); ++i) newest[i] -= kRate * g[i];
          versions.push_back(newest);
          ++t;
        }
        set_parameters(one.net, newest);
        EXPECT_LE(distance(together.net, one.net), 1e-12);
      }
    }
  }
}

/// With one stage nothing is late: what gradients at the newest weights give, by any rule.
TEST(PipelineTraining, LayerPipeOfOneStageHasTheBitsOfAccumulation) {
  const parallel::Communicator self = parallel::Communicator::self();
  Trainer::Options options;
  options.optimiser.own = OptionValues(find_optimiser(options.optimiser.rule).options);
  options.optimiser.clip_norm = 0.1;
  options.samples = kImages;
  Case plain, flowing;
  options.batch = plain.batch;
  plain.pipeline = TrainingPipeline{PipelineSchedule::one_forward_one_backward, 1, false};
  flowing.pipeline = TrainingPipeline{PipelineSchedule::layerpipe, 0, false};
  Network one(self, plain), other(self, flowing);
  Trainer expected(one.grid, one.net, options);
  options.delay = {0, OldWeightsRule::average, true};
  Trainer found(other.grid, other.net, options);
  for (const StepRecord& record : found.steps(5))
    EXPECT_EQ(record.outcome.loss, expected.step().outcome.loss);
  EXPECT_TRUE(parameters_of(one.net) == parameters_of(other.net));
}

TEST(PipelineTraining, LayerPipeHoldsAndIdlesAsItsFormulaSays) {
  const int P = test::world().size();
  for (const OldWeightsRule rule :
       {OldWeightsRule::keep, OldWeightsRule::exact, OldWeightsRule::average}) {
    const Case split = even_case(4, {PipelineSchedule::layerpipe, 0, false});
    const Trainer::Options options = training(split, {0, rule, true});
    Network network(test::world(), split);
    Trainer trainer(network.grid, network.net, options);
    const auto updates = static_cast<Index>(8 * P);
    const std::vector<StepRecord> records = trainer.steps(updates);
    const PipelineUse use = *network.net.pipeline();
    EXPECT_EQ(use.micro_batches, 1);
    EXPECT_NEAR(use.idle, use.idle_by_formula, 1e-12);
    const double bubble = 3.0 * (P - 1), work = 3.0 * static_cast<double>(updates);
    EXPECT_NEAR(use.idle, bubble / (work + bubble), 1e-12);
    EXPECT_EQ(use.held, std::min<Index>(2 * P - 1, updates));
    EXPECT_EQ(records.back().drift.has_value(), P > 1);
    if (P == 1) continue;
    const double drift = *records.back().drift;
    EXPECT_LE(drift, rule == OldWeightsRule::keep    ? 0
                     : rule == OldWeightsRule::exact ? 1e-13
                                                     : 1e-1);
    EXPECT_GT(drift, rule == OldWeightsRule::average ? 1e-8 : -1);
  }
}

TEST(PipelineTraining, LayerPipeIsRefusedForALossOfInnerStates) {
  Case split;
  split.depth_ranks = test::world().size();
  split.pipeline = TrainingPipeline{PipelineSchedule::layerpipe, 0, false};
  split.loss_rows = "2,5,13";
  if (split.depth_ranks == 1) return;
  Network network(test::world(), split);
  const Trainer::Options options = training(split, {0, OldWeightsRule::keep, true});
  const std::string refusal = test::refusal([&] { Trainer(network.grid, network.net, options); });
  EXPECT_NE(refusal.find("loss of the last state"), std::string::npos) << refusal;
}

/// A row that breaks is given up for the last state that was kept.
TEST(PipelineTraining, DelayedBatchesInARowGoBack) {
  Case split;
  split.depth_ranks = test::world().size();
  split.pipeline = TrainingPipeline{PipelineSchedule::delayed, 8, false};
  const Trainer::Options options = training(split, {1, OldWeightsRule::keep});
  Network network(test::world(), split), other(test::world(), split);
  const std::vector<Real> start = parameters_of(network.net);
  Trainer trainer(network.grid, network.net, options), whole(other.grid, other.net, options);
  set_parameters(network.net, std::vector<Real>(start.size(), std::nan("")));
  EXPECT_LT(trainer.steps(4).size(), 4u);
  EXPECT_FALSE(trainer.healthy());
  trainer.go_back();
  EXPECT_EQ(trainer.steps_done(), 0);
  EXPECT_TRUE(parameters_of(network.net) == start);
  trainer.steps(3);
  EXPECT_TRUE(trainer.healthy());
  whole.steps(3);
  EXPECT_TRUE(parameters_of(network.net) == parameters_of(other.net));
}

TEST(PipelineTraining, HoldsAndIdlesAsTheScheduleSays) {
  const int P = test::world().size();
  const Index M = 11;
  for (const PipelineSchedule schedule : kSchedules) {
    for (const bool recompute : {false, true}) {
      Case split;
      split.steps = 2 * P;
      split.depth_ranks = P;
      split.pipeline = TrainingPipeline{schedule, M, recompute};
      split.balanced = true;
      Network network(test::world(), split);
      network.differentiate();
      const PipelineUse use = *network.net.pipeline();
      EXPECT_EQ(use.micro_batches, M);
      EXPECT_NEAR(use.idle, use.idle_by_formula, 1e-12);
      const bool fills = schedule == PipelineSchedule::zero_bubble;
      const int more = recompute ? 1 : 0;  // F again before B
      const double bubble = (P - 1) * (fills ? 1 + more : 3 + more);
      EXPECT_NEAR(use.idle, bubble / ((3 + more) * static_cast<double>(M) + bubble), 1e-12);
      if (recompute) {
        EXPECT_EQ(use.held, fills ? std::min<Index>(P, M) : 1);
      } else {
        EXPECT_EQ(use.held, schedule == PipelineSchedule::gpipe ? M : std::min<Index>(P, M));
      }
    }
  }
}

/// The published numbers of four stages and twelve micro-batches, counted in messages.
TEST(PipelineTraining, CountsTheIdleTicksThatArePublished) {
  if (test::world().size() != 4) GTEST_SKIP() << "of four ranks";
  const auto layout = parallel::BlockLayout::balanced(8, 4);
  const auto sequence = models::make(test::chain_options("mlp", "tanh", "none", 8, 5),
                                     layout.steps(test::world().rank()));
  const sequence::ParameterGradients gradients(sequence->parameters());
  const ChainEnds ends{[](StepRange, State z) { std::fill(z.begin(), z.end(), 0.5); },
                       [](StepRange, ConstStates, States g) { std::fill(g.begin(), g.end(), 1.0); },
                       [](StepRange, ConstState) {}};
  for (const plan::TaskTimes& times : {plan::TaskTimes{1, 1, 1}, plan::TaskTimes{1, 1.2, 0.8}}) {
    for (const PipelineSchedule schedule : kSchedules) {
      const Index loss_rows = test::world().rank() == 3 ? 1 : 0;
      PipelinePasses passes(test::world(), layout, 24, {*sequence, gradients, loss_rows},
                            {schedule, 12, false, times});
      passes.run({ends});
      const double idle = schedule != PipelineSchedule::zero_bubble ? 9
                          : times.weights == 1                      ? 3
                                                                    : 4.2;
      EXPECT_NEAR(passes.idle(), idle / (36 + idle), 1e-12);
      EXPECT_NEAR(passes.idle_by_formula(), idle / (36 + idle), 1e-12);
      const int held = schedule == PipelineSchedule::gpipe         ? 12
                       : schedule == PipelineSchedule::zero_bubble ? 4
                                                                   : 4 - test::world().rank();
      EXPECT_EQ(passes.most_held(), held);
      EXPECT_GE(passes.held_bytes(), held * 3 * 2 * 5 * sizeof(Real));
    }
  }
}

TEST(PipelineTraining, RefusesMoreMicroBatchesThanSamples) {
  Case split;
  split.depth_ranks = test::world().size();
  split.pipeline = TrainingPipeline{PipelineSchedule::gpipe, 23, false};
  const std::string refusal = test::refusal([&] { Network(test::world(), split); });
  EXPECT_NE(refusal.find("--micro-batches 23"), std::string::npos) << refusal;
}

TEST(PipelineTraining, TellsOfStatesThatAreNoNumbers) {
  Case split;
  split.depth_ranks = test::world().size();
  split.pipeline = TrainingPipeline{PipelineSchedule::zero_bubble, 4, false};
  Network network(test::world(), split);
  for (ParameterGroup& group : network.net.parameters())
    for (Index i = 0; i < group.array.local_size(); ++i) group.array.values[i] = std::nan("");
  const StepOutcome outcome = network.differentiate();
  EXPECT_TRUE(std::isnan(outcome.loss));
  EXPECT_NE(outcome.failure, "");
}

}  // namespace
}  // namespace deeppcr::train
