#include "nonlinear/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "nonlinear/pipeline_pass.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Reals of the states of a micro-batch that are run before they are copied to their places.
constexpr Index kPieceReals = Index{1} << 12;

/// The states of a micro-batch are not neighbours in memory, so they are run in pieces beside it.
class ForwardWork final : public PipelineWork {
 public:
  ForwardWork(const sequence::Sequence& chain, sequence::Trajectory& states,
              const parallel::BlockLayout& batches)
      : states_(states), local_(states.local_steps()), batches_(batches) {
    const Index most = std::max<Index>(1, batches.count(0) * states.width());
    piece_.reset(std::max(kPieceReals, most));
    for (int m = 0; m < batches.num_ranks(); ++m)
      chains_.emplace_back(chain, batches.range(m).first);
  }

  void begin(StepRange samples, State carry) override {
    const ConstState z = states_.input().slice(samples.first, samples.last);
    std::copy(z.begin(), z.end(), carry.begin());
  }

  void walk(StepRange block, int m, State carry, const std::function<void()>& progress) override {
    const std::array<Index, 2> state = carry.shape();
    const Index steps = piece_.size() / carry.size();
    for (Index first = block.first; first < block.last; first += steps) {
      const StepRange piece{first, std::min(block.last, first + steps)};
      const States out(piece_.data(), {piece.size(), state[0], state[1]});
      chains_[static_cast<std::size_t>(m)]->propagate(piece, carry, out);
      const Index row = local_.row(first);
      unpack(out, batches_.range(m), states_.states().slice(row, row + piece.size()));
      const ConstState last = out[piece.size() - 1];
      std::copy(last.begin(), last.end(), carry.begin());
      progress();
    }
  }

  void end(StepRange, ConstState) override {}
  void done(StepRange) override {}

 private:
  sequence::Trajectory& states_;
  StepSet local_;
  const parallel::BlockLayout& batches_;
  std::deque<sequence::FromSample> chains_;  ///< one a micro-batch
  Buffer<Real> piece_;
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
  std::vector<double> worst{watch.seconds(), pass.waited(), pass.clock(), largest_state(states)};
  comm.max(worst);
  report.seconds = {{"total", worst[0]}, {"wait", worst[1]}};
  report.neighbours = total_traffic(comm, sent);
  end_sequential(worst[3], L, tolerance_, report);
  report.evaluations = L;
  report.path.evaluations = worst[2] / static_cast<double>(states.batch());
  report.sequential_evaluations = static_cast<Index>(std::ceil(report.path.evaluations));
  report.pipeline = plan.report(worst[2]);
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
    return cost;
  }
  const Index hops = std::max<Index>(1, plan.num_blocks()) - 1, M = plan.batches().num_ranks();
  cost.neighbours = {hops * M, hops * (problem.state_bytes() + M * Index{sizeof(Real)})};
  return cost;
}

double Pipeline::memory(const Problem& problem) const {
  // Carries under way, the piece at hand, and the table of gathered samples.
  const auto state = static_cast<double>(problem.state_bytes());
  return 3 * state + 5.0 * kPieceReals * sizeof(Real);
}

}  // namespace deeppcr::nonlinear
