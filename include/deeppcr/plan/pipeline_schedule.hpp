#pragma once

#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::plan {

/// In which order the P stages of a pipeline do the forward (F), backward (B) and weight gradient
/// (W) work of the M micro-batches of an update. Stage s, with times F, B and W of a micro-batch:
///
///     schedule      order                                       idle a stage       held
///     gpipe         all F, then all B + W                       (P - 1)(F + B + W) M
///     1f1b          P - 1 - s times F, then F and B + W in      (P - 1)(F + B + W) min(M, P - s)
///                   turns, then the B + W that are left
///     zero-bubble   as 1f1b, but W lags s micro-batches behind  (P - 1)(F + B - W) min(M, P)
///                   B, and fills what would be idle
///     delayed       as 1f1b, on through all updates        (P - 1)(F + B + W) min(M, P - s)
///                   without a flush between them                once in a run
///     layerpipe     2 (P - 1 - s) times F, then F and B + W in  (P - 1)(F + B + W) 2 (P - s) - 1
///                   turns, on through all updates, which are       once in a run
///                   one micro-batch each
///
/// `idle` is exact from M = P on, `held` counts the micro-batches between their F and their W. A
/// turn of `layerpipe` needs messages of the turn before alone.
/// Sources: GPipe, arXiv 1811.06965; 1F1B, arXiv 1806.03377; ZB-H1, arXiv 2401.10241;
/// PipeDream-2BW, arXiv 2006.09503; LayerPipe, arXiv 2108.06629.
enum class PipelineSchedule { gpipe, one_forward_one_backward, zero_bubble, delayed, layerpipe };

/// One line a schedule: the only table that names them.
struct ScheduleEntry {
  const char* name;
  const char* help;
  bool recomputes = true;  ///< holds fewer states where they are computed again
  bool delays = false;     ///< gradients at weights of earlier updates: other numbers than without
  bool by_stage = false;   ///< as late as the stage says, and of mini-batches that stay whole
};
const ScheduleEntry& entry_of(PipelineSchedule schedule);
/// Their names, as above.
const Words<PipelineSchedule>& pipeline_schedules();

struct PipelineTask {
  /// backward: B alone; both: B + W, whose message leaves behind W.
  enum class Kind { forward, backward, weights, both };
  Kind kind = Kind::forward;
  int micro_batch = 0;
};
bool operator==(const PipelineTask& a, const PipelineTask& b);

/// P and M.
struct PipelineSize {
  int stages = 1;
  int micro_batches = 1;
};
/// Micro-batches that a stage does F of before its first B, at most.
int warm_up(PipelineSchedule schedule, int stage, PipelineSize size);
/// Those that the first stage holds at once, at most, of runs that are long enough.
int most_held(PipelineSchedule schedule, PipelineSize size);
/// What a stage does, in its order. Each kind of work takes the micro-batches in rising order.
std::vector<PipelineTask> stage_tasks(PipelineSchedule schedule, int stage, PipelineSize size);

/// Times of one micro-batch on one stage, in any unit.
struct TaskTimes {
  double forward = 1;
  double backward = 1;
  double weights = 1;
  double of(PipelineTask::Kind kind) const;
  double all() const { return forward + backward + weights; }
};

/// What a schedule comes to when no message takes time.
struct PipelineRun {
  double end = 0;            ///< when the last stage is through
  std::vector<double> idle;  ///< by stage, until then
  std::vector<int> held;     ///< by stage, micro-batches at most
  double idle_share() const;
};
PipelineRun simulate(PipelineSchedule schedule, PipelineSize size, const TaskTimes& times = {});
/// The same of several updates, one behind the other.
PipelineRun simulate_updates(PipelineSchedule schedule, PipelineSize size, int updates,
                             const TaskTimes& times = {});

/// Updates by which the weights of a mini-batch are behind at least where nothing is flushed, so
/// that no stage waits for them: ceil((P - 1) / M), 1 from M = P - 1 on.
int least_delay(PipelineSize size);

/// What choices are made from.
struct PipelineProblem {
  int stages = 1;
  Index samples = 1;
  double weight_bytes_a_stage = 0;
};
/// Micro-batches that take least time where a step of b samples takes as long as b and some more
/// alone, which are the more where a stage's weights fit no cache. At least 1, at most one a
/// sample.
int choose_micro_batches(PipelineSchedule schedule, const PipelineProblem& problem);
/// The time of an update with so many, over that of the whole batch on one rank.
double time_share(PipelineSchedule schedule, const PipelineProblem& problem);

}  // namespace deeppcr::plan
