#include "deeppcr/plan/pipeline_schedule.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "deeppcr/core/machine.hpp"

namespace deeppcr::plan {

namespace {

using Kind = PipelineTask::Kind;

/// In the order of the enum.
const std::array<ScheduleEntry, 5> kSchedules{
    {{"gpipe", "all forward, then all back"},
     {"1f1b", "forward and back in turns, which holds fewer states"},
     {"zero-bubble", "weight gradients fill the gaps", false},
     {"delayed", "1f1b, gradients at the weights of --delay updates ago", true, true},
     {"layerpipe",
      "whole mini-batches, gradients at weights of 2 (D - 1 - s) updates ago on depth rank s of D",
      true, true, true}}};

bool runs_forward(Kind kind) { return kind == Kind::forward; }
bool runs_backward(Kind kind) { return kind == Kind::backward || kind == Kind::both; }
bool ends(Kind kind) { return kind == Kind::weights || kind == Kind::both; }

/// The stages as they go through their tasks, each as far as the messages it has let it.
class Simulation {
 public:
  Simulation(PipelineSchedule schedule, PipelineSize size, const TaskTimes& times)
      : size_(size), times_(times), stages_(static_cast<std::size_t>(size.stages)) {
    for (int s = 0; s < size.stages; ++s) at(s).tasks = stage_tasks(schedule, s, size);
  }

  PipelineRun run() {
    for (bool moves = true; moves;) {
      moves = false;
      for (int s = 0; s < size_.stages; ++s) moves = advance(s) || moves;
    }
    PipelineRun result;
    for (const Stage& stage : stages_) result.end = std::max(result.end, stage.clock);
    for (const Stage& stage : stages_) {
      result.idle.push_back(result.end - stage.worked);
      result.held.push_back(stage.most_held);
    }
    return result;
  }

 private:
  struct Stage {
    std::vector<PipelineTask> tasks;
    std::size_t next = 0;
    std::vector<double> forward, backward;  ///< when each micro-batch was through
    double clock = 0, worked = 0;
    int held = 0, most_held = 0;
  };
  Stage& at(int stage) { return stages_[static_cast<std::size_t>(stage)]; }

  /// When the message that a task begins with is there; infinite where it has not been sent.
  double arrival(int s, const PipelineTask& task) {
    const bool forward = runs_forward(task.kind);
    const int from = forward ? s - 1 : s + 1;
    if ((!forward && !runs_backward(task.kind)) || from < 0 || from >= size_.stages) return 0;
    const std::vector<double>& sent = forward ? at(from).forward : at(from).backward;
    const auto m = static_cast<std::size_t>(task.micro_batch);
    return m < sent.size() ? sent[m] : std::numeric_limits<double>::infinity();
  }

  bool advance(int s) {
    Stage& stage = at(s);
    const std::size_t before = stage.next;
    for (; stage.next < stage.tasks.size(); ++stage.next) {
      const PipelineTask& task = stage.tasks[stage.next];
      const double ready = arrival(s, task), time = times_.of(task.kind);
      if (ready == std::numeric_limits<double>::infinity()) break;
      stage.clock = std::max(stage.clock, ready) + time;
      stage.worked += time;
      if (runs_forward(task.kind)) {
        stage.forward.push_back(stage.clock);
        stage.most_held = std::max(stage.most_held, ++stage.held);
      }
      if (runs_backward(task.kind)) stage.backward.push_back(stage.clock);
      if (ends(task.kind)) --stage.held;
    }
    return stage.next > before;
  }

  PipelineSize size_;
  TaskTimes times_;
  std::vector<Stage> stages_;
};

}  // namespace

const ScheduleEntry& entry_of(PipelineSchedule schedule) {
  return kSchedules.at(static_cast<std::size_t>(schedule));
}

const Words<PipelineSchedule>& pipeline_schedules() {
  static const Words<PipelineSchedule> words = [] {
    Words<PipelineSchedule> names{"pipeline schedule", {}};
    for (const ScheduleEntry& entry : kSchedules) names.words.push_back(entry.name);
    return names;
  }();
  return words;
}

bool operator==(const PipelineTask& a, const PipelineTask& b) {
  return a.kind == b.kind && a.micro_batch == b.micro_batch;
}

double TaskTimes::of(PipelineTask::Kind kind) const {
  switch (kind) {
    case Kind::forward:
      return forward;
    case Kind::backward:
      return backward;
    case Kind::weights:
      return weights;
    case Kind::both:
      return backward + weights;
  }
  return 0;
}

int warm_up(PipelineSchedule schedule, int stage, PipelineSize size) {
  const int behind = std::max(0, size.stages - 1 - stage);
  if (schedule == PipelineSchedule::gpipe) return size.micro_batches;
  return schedule == PipelineSchedule::layerpipe ? 2 * behind : behind;
}

int most_held(PipelineSchedule schedule, PipelineSize size) {
  const int ahead = warm_up(schedule, 0, size) + 1;
  return entry_of(schedule).by_stage ? ahead : std::min(ahead, size.micro_batches);
}

std::vector<PipelineTask> stage_tasks(PipelineSchedule schedule, int stage, PipelineSize size) {
  const int M = size.micro_batches;
  // The first stage has nobody who waits for its B.
  const int lag = schedule == PipelineSchedule::zero_bubble ? stage : 0;
  std::vector<PipelineTask> tasks;
  int forward = 0, weights = 0;
  const auto run_forward = [&](int until) {
    for (; forward < std::min(until, M); ++forward) tasks.push_back({Kind::forward, forward});
  };
  run_forward(warm_up(schedule, stage, size));
  for (int m = 0; m < M; ++m) {
    run_forward(forward + 1);
    tasks.push_back({lag > 0 ? Kind::backward : Kind::both, m});
    if (lag > 0 && m - weights >= lag) tasks.push_back({Kind::weights, weights++});
  }
  while (lag > 0 && weights < M) tasks.push_back({Kind::weights, weights++});
  return tasks;
}

double PipelineRun::idle_share() const {
  const double all = end * static_cast<double>(idle.size());
  return all > 0 ? std::accumulate(idle.begin(), idle.end(), 0.0) / all : 0;
}

PipelineRun simulate(PipelineSchedule schedule, PipelineSize size, const TaskTimes& times) {
  return Simulation(schedule, size, times).run();
}

PipelineRun simulate_updates(PipelineSchedule schedule, PipelineSize size, int updates,
                             const TaskTimes& times) {
  if (entry_of(schedule).delays)
    return simulate(schedule, {size.stages, updates * size.micro_batches}, times);
  PipelineRun run = simulate(schedule, size, times);
  run.end *= updates;
  for (double& idle : run.idle) idle *= updates;
  return run;
}

int least_delay(PipelineSize size) {
  return (size.stages - 2 + size.micro_batches) / size.micro_batches;
}

namespace {

double overhead_samples(double weight_bytes) {
  const bool streamed = weight_bytes > machine().streamed_bytes;
  return streamed ? machine().streamed_overhead_samples : machine().step_overhead_samples;
}

/// Time of an update, M + P - 1 times F + B + W of a micro-batch, with W in the gaps M + (P - 1) /
/// 3 and where updates follow each other M, in units of a stage's work on one sample.
double update_time(PipelineSchedule schedule, const PipelineProblem& problem, Index micro_batches) {
  const ScheduleEntry& entry = entry_of(schedule);
  const int waits = problem.stages - 1;
  const bool flows = entry.delays && (entry.by_stage || micro_batches >= problem.stages);
  const double ramp = flows ? 0 : schedule == PipelineSchedule::zero_bubble ? waits / 3.0 : waits;
  const auto size = static_cast<double>((problem.samples + micro_batches - 1) / micro_batches);
  return (static_cast<double>(micro_batches) + ramp) *
         (size + overhead_samples(problem.weight_bytes_a_stage));
}

}  // namespace

int choose_micro_batches(PipelineSchedule schedule, const PipelineProblem& problem) {
  constexpr Index kMostAStage = 64;
  if (problem.stages < 2 || entry_of(schedule).by_stage) return 1;
  Index best = 1;
  for (Index m = 2; m <= std::min(problem.samples, kMostAStage * problem.stages); ++m)
    if (update_time(schedule, problem, m) < update_time(schedule, problem, best)) best = m;
  return static_cast<int>(best);
}

double time_share(PipelineSchedule schedule, const PipelineProblem& problem) {
  const int stages = std::max(1, problem.stages);
  const double alone = stages * (static_cast<double>(problem.samples) +
                                 overhead_samples(stages * problem.weight_bytes_a_stage));
  return update_time(schedule, problem, choose_micro_batches(schedule, problem)) / alone;
}

}  // namespace deeppcr::plan
