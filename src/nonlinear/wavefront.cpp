#include "nonlinear/wavefront.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/machine.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "nonlinear/wavefront_pass.hpp"

namespace deeppcr::nonlinear {

namespace {

/// What a rank does with its layers, and how that went.
struct Pass {
  double clock = 0, waited = 0;
  parallel::Traffic sent;
};

/// Layer by layer through each chunk; then the states go to the ranks of their steps.
Pass run(const LayersOnRanks& layers, sequence::Trajectory& states) {
  const Index L = states.layout().num_steps(), B = states.batch();
  const StepRange own = layers.own();
  Pass found;
  const Buffer<Real> inputs = layers.chain_inputs(found.sent);
  std::vector<Buffer<Real>> tables, starts;
  std::vector<Real*> data;
  Buffer<Real> scratch;
  for (Index k = own.first; k < own.last; ++k) {
    const sequence::Columns columns = layers.columns(k);
    data.push_back(tables.emplace_back(L * B * columns.count).data());
    Buffer<Real>& start = starts.emplace_back(B * columns.count);
    std::copy_n(columns_of(B, states.width(), columns, states.input().data(), scratch),
                start.size(), start.data());
  }
  WavefrontPass pass(layers, Direction::forward);
  pass.run([&](StepRange chunk, const Real* in, Real* out) {
    const Real* x = in != nullptr ? in : inputs.data() + chunk.first * B * layers.input_width();
    for (Index k = own.first; k < own.last; ++k) {
      const auto i = static_cast<std::size_t>(k - own.first);
      const Index w = layers.columns(k).count;
      const State start(chunk.first == 0 ? starts[i].data() : data[i] + (chunk.first - 1) * B * w,
                        {B, w});
      const States z(data[i] + chunk.first * B * w, {chunk.size(), B, w});
      layers.bound(k, chunk, x)->propagate(chunk, start, z);
      x = columns_of(chunk.size() * B, w, layers.layer(k).output(), z.data(), scratch);
    }
    if (out != nullptr)
      std::copy_n(x, chunk.size() * B * layers.layer(own.last - 1).output().count, out);
  });
  found.clock = pass.clock();
  found.waited = pass.waited();
  found.sent += pass.sent();
  layers.to_steps(states.layout().first_steps(), data, states.states().data(), found.sent);
  states.touched();
  return found;
}

/// States from ranks of layers to ranks of steps, and inputs, at most as wide as a layer, the other
/// way.
parallel::Traffic exchange_cost(const Problem& problem, const WavefrontPlan& plan) {
  const auto steps = parallel::BlockLayout::balanced(problem.steps, problem.ranks);
  const Index layer = problem.width / problem.layers;
  parallel::TwoWays ways{steps.first_steps(), {}, problem.width};
  for (Index& first : ways.first_rows) first *= problem.batch;
  ways.columns.resize(static_cast<std::size_t>(problem.ranks));
  parallel::Traffic sum;
  for (Index turn = 0; turn < plan.layers().count(0); ++turn) {
    for (int p = 0; p < problem.ranks; ++p)
      ways.columns[static_cast<std::size_t>(p)].count = turn < plan.layers().count(p) ? layer : 0;
    sum += ways.traffic();
  }
  ways.width = layer;
  for (auto& columns : ways.columns) columns.count = 0;
  ways.columns.front().count = layer;
  sum += ways.traffic();
  return sum;
}

}  // namespace

SolveReport Wavefront::solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                             const Monitors&) {
  const petsc::LogEvent event("nonlinear.wavefront");
  const parallel::Communicator& comm = states.comm();
  const Index L = states.layout().num_steps();
  const LayersOnRanks layers(chain, states, chunk_steps_);
  SolveReport report;
  report.method = "wavefront";
  const Stopwatch watch;
  Pass pass;
  const bool alone = layers.plan().num_stages() < 2;
  if (alone) {
    sequence::propagate(chain, states, 0, &report.neighbours);
    pass.clock = static_cast<double>(L * layers.plan().layers().num_steps());
    if (comm.size() > 1 && comm.is_root())
      report.choice = "the cells are of one layer: no two ranks can work at the same time";
  } else {
    pass = run(layers, states);
  }
  StageTimes times;
  times.add("total", watch.seconds());
  times.add("wait", pass.waited);
  parallel::Reduction together;
  const Totals totals(together, times, {"total", "wait"}, {}, pass.sent);
  const Index ticks = together.max(pass.clock), largest = together.max(largest_state(states));
  together.run(comm);
  const double clock = together.maximum(ticks);
  report.seconds = totals.slowest(together);
  if (!alone) report.neighbours = totals.neighbours(together);
  end_sequential(together.maximum(largest), L, tolerance_, report);
  report.evaluations = L;
  report.path.evaluations = layers.plan().path(clock);
  report.sequential_evaluations = static_cast<Index>(std::ceil(report.path.evaluations));
  report.pipeline = layers.plan().report(clock);
  return report;
}

Cost Wavefront::cost(const Problem& problem, const Effort&) const {
  Problem stack = problem;
  stack.layers = std::max(1, problem.layers);
  const WavefrontPlan plan(stack, chunk_steps_);
  Cost cost;
  cost.path.evaluations = plan.path();
  const Index stages = plan.num_stages(), messages = (stages - 1) * plan.num_chunks();
  const Index outputs = (stages - 1) * problem.steps * problem.state_bytes() / stack.layers;
  cost.neighbours = {messages, outputs + messages * Index{sizeof(Real)}};
  // The first chunk through all stages, then each message behind the one before it.
  const double hops = stages > 1 ? static_cast<double>(stages - 1 + plan.num_chunks()) : 0;
  cost.network = Rounds{0, 0, 1}.seconds(problem) +
                 hops * machine().network.message(static_cast<double>(outputs) /
                                                      std::max(1.0, static_cast<double>(messages)),
                                                  problem.ranks);
  if (stages > 1) cost.neighbours += exchange_cost(stack, plan);
  if (stages == 1) {
    const Cost alone = Sequential().cost(problem, {});
    cost.neighbours = alone.neighbours;
    cost.network = alone.network;
  }
  return cost;
}

double Wavefront::memory(const Problem& problem) const {
  // Own layers of all steps, with the inputs of the first one, at most as wide as a layer.
  const int layers = std::max(1, problem.layers);
  if (std::min(layers, problem.ranks) < 2) return static_cast<double>(problem.state_bytes());
  const double most = std::ceil(static_cast<double>(layers) / problem.ranks);
  const double state = static_cast<double>(problem.state_bytes());
  return state * (static_cast<double>(problem.steps) * (most + 1) / layers + 1);
}

}  // namespace deeppcr::nonlinear
