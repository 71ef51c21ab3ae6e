#include "deeppcr/plan/pipeline_schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "deeppcr/core/error.hpp"

namespace deeppcr::plan {
namespace {

using Kind = PipelineTask::Kind;
using Schedule = PipelineSchedule;

const Schedule kAll[] = {Schedule::gpipe, Schedule::one_forward_one_backward, Schedule::zero_bubble,
                         Schedule::delayed, Schedule::layerpipe};
const PipelineSize kSizes[] = {{1, 1}, {1, 5},  {2, 1}, {2, 7}, {3, 2},
                               {4, 4}, {4, 12}, {5, 3}, {8, 9}};

/// "F0 F1 X0": X is B + W.
std::string text_of(const std::vector<PipelineTask>& tasks) {
  std::string text;
  for (const PipelineTask& task : tasks) {
    if (!text.empty()) text += ' ';
    text += "FBWX"[static_cast<int>(task.kind)] + std::to_string(task.micro_batch);
  }
  return text;
}

TEST(PipelineSchedule, HasTheOrderOfItsStage) {
  EXPECT_EQ(text_of(stage_tasks(Schedule::gpipe, 1, {3, 3})), "F0 F1 F2 X0 X1 X2");
  EXPECT_EQ(text_of(stage_tasks(Schedule::one_forward_one_backward, 0, {3, 4})),
            "F0 F1 F2 X0 F3 X1 X2 X3");
  EXPECT_EQ(text_of(stage_tasks(Schedule::one_forward_one_backward, 2, {3, 4})),
            "F0 X0 F1 X1 F2 X2 F3 X3");
  EXPECT_EQ(text_of(stage_tasks(Schedule::zero_bubble, 0, {3, 3})), "F0 F1 F2 X0 X1 X2");
  EXPECT_EQ(text_of(stage_tasks(Schedule::zero_bubble, 2, {3, 4})),
            "F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 W2 W3");
  EXPECT_EQ(text_of(stage_tasks(Schedule::layerpipe, 0, {2, 4})), "F0 F1 F2 X0 F3 X1 X2 X3");
}

TEST(PipelineSchedule, DoesEachPartOfEachMicroBatchOnceAndInOrder) {
  for (const Schedule schedule : kAll) {
    for (const PipelineSize& size : kSizes) {
      for (int s = 0; s < size.stages; ++s) {
        int forward = 0, backward = 0, weights = 0;
        bool in_order = true;
        for (const PipelineTask& task : stage_tasks(schedule, s, size)) {
          const int m = task.micro_batch;
          const bool ends = task.kind == Kind::weights || task.kind == Kind::both;
          const bool goes_back = task.kind == Kind::backward || task.kind == Kind::both;
          in_order = in_order && (task.kind != Kind::forward || m == forward++);
          in_order = in_order && (!goes_back || m == backward++) && (!ends || m == weights++);
          EXPECT_TRUE(in_order);
          EXPECT_LE(backward, forward);
          EXPECT_LE(weights, backward);
        }
        EXPECT_EQ(forward, size.micro_batches);
        EXPECT_EQ(weights, size.micro_batches);
      }
    }
  }
}

/// Of four stages and twelve micro-batches, as published.
TEST(PipelineSchedule, IsIdleAsPublished) {
  const TaskTimes unequal{1, 1.2, 0.8};
  for (const double idle : simulate(Schedule::gpipe, {4, 12}).idle) EXPECT_NEAR(idle, 9, 1e-12);
  for (const TaskTimes& times : {TaskTimes{}, unequal}) {
    for (int s = 0; s < 4; ++s) {
      const auto at = static_cast<std::size_t>(s);
      EXPECT_NEAR(simulate(Schedule::gpipe, {4, 12}, times).idle[at], 9, 1e-12);
      EXPECT_NEAR(simulate(Schedule::one_forward_one_backward, {4, 12}, times).idle[at], 9, 1e-12);
      EXPECT_NEAR(simulate(Schedule::zero_bubble, {4, 12}, times).idle[at],
                  times.weights == 1 ? 3 : 4.2, 1e-12);
    }
  }
}

TEST(PipelineSchedule, IsIdleAndHoldsAsTheFormulasSayOnManyStages) {
  const TaskTimes times{1, 1.2, 0.8};
  for (const PipelineSize& size : {PipelineSize{4, 12}, {64, 64}, {64, 200}, {1024, 1100}}) {
    const int P = size.stages, M = size.micro_batches;
    for (const Schedule schedule : kAll) {
      const PipelineRun run = simulate(schedule, size, times);
      const bool fills = schedule == Schedule::zero_bubble;
      const double bubble = (P - 1) * (fills ? 1 + 1.2 - 0.8 : times.all());
      EXPECT_NEAR(run.end, M * times.all() + bubble, 1e-9 * run.end);
      EXPECT_NEAR(run.idle_share(), bubble / run.end, 1e-9);
      for (int s = 0; s < P; ++s) {
        const int held = fills ? P : std::min(M, warm_up(schedule, s, size) + 1);
        EXPECT_EQ(run.held[static_cast<std::size_t>(s)], held) << s;
      }
    }
  }
}

TEST(PipelineSchedule, HoldsNoMoreThanThereAreMicroBatches) {
  for (const Schedule schedule : kAll)
    for (const PipelineSize& size : kSizes)
      for (const int held : simulate(schedule, size).held)
        EXPECT_LE(held, std::min(size.micro_batches,
                                 std::max(size.stages, warm_up(schedule, 0, size) + 1)));
}

TEST(PipelineSchedule, KnowsWhatTheFirstStageHolds) {
  for (const Schedule schedule : kAll) {
    for (const PipelineSize& size : kSizes) {
      const int updates = schedule == Schedule::layerpipe ? 20 : 1;
      const int M = schedule == Schedule::layerpipe ? 1 : size.micro_batches;
      const PipelineRun run = simulate_updates(schedule, {size.stages, M}, updates);
      EXPECT_EQ(most_held(schedule, {size.stages, M}),
                *std::max_element(run.held.begin(), run.held.end()));
    }
  }
}

/// Of twelve micro-batches an update on four stages: 9 idle ticks in an update, or in the whole
/// run.
TEST(PipelineSchedule, IsIdleOnceWhereNothingIsFlushed) {
  const int updates = 10;
  for (const TaskTimes& times : {TaskTimes{}, TaskTimes{1, 1.2, 0.8}}) {
    const PipelineRun flushed =
        simulate_updates(Schedule::one_forward_one_backward, {4, 12}, updates, times);
    const PipelineRun flows = simulate_updates(Schedule::delayed, {4, 12}, updates, times);
    for (std::size_t s = 0; s < 4; ++s) {
      EXPECT_NEAR(flushed.idle[s], 90, 1e-9);
      EXPECT_NEAR(flows.idle[s], 9, 1e-9);
      EXPECT_EQ(flows.held[s], flushed.held[s]);
    }
    EXPECT_NEAR(flushed.end, 450, 1e-9);
    EXPECT_NEAR(flows.end, 369, 1e-9);
  }
}

/// Updates that are open when a micro-batch of mini-batch t starts on a stage, t among them not.
TEST(PipelineSchedule, NeedsWeightsOfTheLeastDelay) {
  const int updates = 5;
  for (const PipelineSize& size : kSizes) {
    const int M = size.micro_batches;
    int most = 0;
    for (int s = 0; s < size.stages; ++s) {
      int back = 0;
      for (const PipelineTask& task :
           stage_tasks(Schedule::delayed, s, {size.stages, updates * M})) {
        if (task.kind == Kind::forward) most = std::max(most, task.micro_batch / M - back / M);
        if (task.kind != Kind::forward) ++back;
      }
    }
    EXPECT_EQ(most, std::min(least_delay(size), updates - 1)) << size.stages << " " << M;
  }
  EXPECT_EQ(least_delay({1, 3}), 0);
  EXPECT_EQ(least_delay({4, 3}), 1);
  EXPECT_EQ(least_delay({4, 12}), 1);
  EXPECT_EQ(least_delay({4, 2}), 2);
}

/// Of mini-batches that are not cut: each waits 2 (P - 1 - s) updates for its gradient.
TEST(PipelineSchedule, LayerPipeIsLateByItsStage) {
  for (int s = 0; s < 5; ++s) {
    int back = 0;
    for (const PipelineTask& task : stage_tasks(Schedule::layerpipe, s, {5, 20})) {
      if (task.kind != Kind::forward) {
        ++back;
      } else {
        EXPECT_EQ(task.micro_batch - back, std::min(task.micro_batch, 2 * (4 - s)));
      }
    }
  }
}

TEST(PipelineSchedule, TakesMoreMicroBatchesForMoreStages) {
  const auto chosen = [](int stages, Index samples) {
    return choose_micro_batches(Schedule::one_forward_one_backward, {stages, samples, 1e6});
  };
  EXPECT_EQ(chosen(1, 64), 1);
  EXPECT_EQ(chosen(4, 1), 1);
  EXPECT_GE(chosen(2, 64), 4);
  EXPECT_GE(chosen(8, 64), chosen(2, 64));
  EXPECT_LE(chosen(64, 8), 8);
  EXPECT_LE(choose_micro_batches(Schedule::zero_bubble, {4, 64, 1e6}), chosen(4, 64));
  EXPECT_LT(choose_micro_batches(Schedule::one_forward_one_backward, {2, 32, 1e8}), chosen(2, 32));
}

/// Without a flush the bubble is no reason for more.
TEST(PipelineSchedule, TakesAsManyAsStagesWhereUpdatesFollowEachOther) {
  for (const int stages : {2, 4, 8})
    EXPECT_EQ(choose_micro_batches(Schedule::delayed, {stages, 64, 1e6}), stages);
  EXPECT_EQ(choose_micro_batches(Schedule::layerpipe, {4, 64, 1e6}), 1);
}

TEST(PipelineSchedule, PromisesNearPTimesForManySamples) {
  for (const Schedule schedule : kAll) {
    EXPECT_EQ(time_share(schedule, {1, 32, 1e6}), 1);
    EXPECT_LT(time_share(schedule, {4, 1024, 1e6}), 0.32);
    EXPECT_GE(time_share(schedule, {4, 1024, 1e6}), 0.25);
    const bool waits = schedule != Schedule::layerpipe;  // with one sample, but for gradients
    EXPECT_GE(time_share(schedule, {4, 1, 1e6}), waits ? 0.5 : 0.25);
    // Stages whose weights are in the cache, which one rank's are not.
    EXPECT_LT(time_share(schedule, {4, 1024, 4e6}), time_share(schedule, {4, 1024, 1e6}));
  }
  EXPECT_LT(time_share(Schedule::zero_bubble, {2, 32, 1e6}),
            time_share(Schedule::gpipe, {2, 32, 1e6}));
}

TEST(PipelineSchedule, KnowsItsNames) {
  for (const Schedule schedule : kAll)
    EXPECT_EQ(pipeline_schedules().find(pipeline_schedules().of(schedule)), schedule);
  EXPECT_THROW(pipeline_schedules().find("1f2b"), Error);
}

}  // namespace
}  // namespace deeppcr::plan
