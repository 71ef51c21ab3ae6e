#include "nonlinear/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "nonlinear/pipeline_pass.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Steps between two looks at messages that are under way: little work, since a message of more
/// than a few KiB only goes on while both ends look.
Index steps_apart(Index samples, Index width) {
  constexpr Index kWork = Index{1} << 17;  // multiply-adds
  return std::max<Index>(1, kWork / std::max<Index>(1, samples * width * width));
}

/// A step at a time, since only the states of one step stand side by side in memory.
class ForwardWork final : public PipelineWork {
 public:
  ForwardWork(const sequence::Sequence& chain, sequence::Trajectory& states,
              const parallel::BlockLayout& batches)
      : states_(states), local_(states.local_steps()), batches_(batches) {
    for (int m = 0; m < batches.num_ranks(); ++m)
      chains_.emplace_back(chain, batches.range(m).first);
  }

  void begin(StepRange samples, State carry) override {
    const ConstState z = states_.input().slice(samples.first, samples.last);
    std::copy(z.begin(), z.end(), carry.begin());
  }

  void walk(StepRange block, int m, State carry, const std::function<void()>& progress) override {
    const StepRange samples = batches_.range(m);
    const Index apart = steps_apart(carry.extent(0), carry.extent(1));
    ConstState z = carry;
    for (Index l = block.first; l < block.last; ++l) {
      const State out = states_.states()[local_.row(l)].slice(samples.first, samples.last);
      const States step(out.data(), {1, out.extent(0), out.extent(1)});
      chains_[static_cast<std::size_t>(m)]->propagate({l, l + 1}, z, step);
      z = out;
      if ((l - block.first) % apart == 0) progress();
    }
    std::copy(z.begin(), z.end(), carry.begin());
  }

  void end(StepRange, ConstState) override {}
  void done(StepRange) override {}

 private:
  sequence::Trajectory& states_;
  StepSet local_;
  const parallel::BlockLayout& batches_;
  std::deque<sequence::FromSample> chains_;  ///< one a micro-batch
};

}  // namespace

SolveReport Pipeline::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                            const Monitors&) {
  const petsc::LogEvent event("nonlinear.pipeline");
  const parallel::Communicator& comm = states.comm();
  const Index L = states.layout().num_steps();
  const PipelinePlan plan(states.layout(), states.batch(), options_.micro_batches);
  const Stopwatch watch;
  ForwardWork work(chain, states, plan.batches());
  PipelinePass pass(states, plan, Direction::forward);
  pass.run(work);
  parallel::Traffic sent = pass.sent();
  if (plan.shares_samples()) gather_samples(comm, plan.batches(), states.states(), sent);
  states.touched();
  SolveReport report;
  report.method = "pipeline";
  StageTimes times;
  times.add("total", watch.seconds());
  times.add("wait", pass.waited());
  parallel::Reduction together;
  const Totals totals(together, times, {"total", "wait"}, {}, sent);
  const Index ticks = together.max(pass.clock()), largest = together.max(largest_state(states));
  together.run(comm);
  const double clock = together.maximum(ticks);
  report.seconds = totals.slowest(together);
  report.neighbours = totals.neighbours(together);
  end_sequential(together.maximum(largest), L, tolerance_, report);
  report.evaluations = L;
  report.path.evaluations = clock / static_cast<double>(states.batch());
  report.sequential_evaluations = static_cast<Index>(std::ceil(report.path.evaluations));
  report.pipeline = plan.report(clock);
  return report;
}

parallel::BlockLayout Pipeline::layout(const Problem& problem) const {
  return plan_pipeline(options_, problem).layout();
}

Cost Pipeline::cost(const Problem& problem, const Effort&) const {
  const PipelinePlan plan = plan_pipeline(options_, problem);
  Cost cost;
  cost.path.evaluations = plan.sample_steps() / static_cast<double>(problem.batch);
  if (plan.shares_samples()) {
    cost.neighbours = gathering_cost(problem.steps, problem);
    // Each rank takes what all others have.
    cost.network = Rounds{0, 0, 1}.seconds(problem) +
                   machine().network.message(
                       static_cast<double>(cost.neighbours.bytes) / problem.ranks, problem.ranks);
    return cost;
  }
  const Index hops = std::max<Index>(1, plan.num_blocks()) - 1, M = plan.batches().num_ranks();
  cost.neighbours = {hops * M, hops * (problem.state_bytes() + M * Index{sizeof(Real)})};
  const double bytes = static_cast<double>(problem.state_bytes()) / static_cast<double>(M);
  cost.network = Rounds{0, 0, 1}.seconds(problem) +
                 static_cast<double>(hops) * machine().network.message(bytes, problem.ranks);
  return cost;
}

double Pipeline::memory(const Problem& problem) const {
  // Carries under way, and the table of gathered samples.
  constexpr double kTableBytes = 1 << 20;
  const auto state = static_cast<double>(problem.state_bytes());
  return 3 * state + kTableBytes;
}

}  // namespace deeppcr::nonlinear
