// The everyday table: shooting, as `auto` chooses, against one step after another.
//
// What the machine has to give is measured first: every rank runs the whole chain by itself, at the
// same time, with weights and states of its own. P such runs in the time t_together, one of them
// alone in t_alone, are a gain of P t_alone / t_together. Pieces of the chain would not do: half of
// the weights may stay in a core's caches from run to run where all of them do not.
#include "deeppcr/nonlinear/shooting.hpp"

#include <algorithm>
#include <memory>

#include "deeppcr/linear/sequential.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/linear_shooting.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "network_case.hpp"
#include "suites.hpp"
#include "zoo.hpp"

namespace deeppcr::app::bench {
namespace {

/// Wanted of the gain that independent runs side by side have; no chain may be slower than this.
constexpr double kShareOfGain = 0.9, kNeverSlower = 0.95;
constexpr int kLeastRepeats = 7;

/// A chain with all that its backward pass needs, a loss on the last state.
class Passes {
 public:
  Passes(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
         const models::ModelOptions& options, Index batch, bool backward)
      : network_(comm, layout, options, batch) {
    if (!backward) return;
    loss_.reset(batch * options.width);
    std::fill(loss_.begin(), loss_.end(), 1.0);
    has_loss_ = layout.range(comm.rank()).contains(options.steps - 1);
    states_.reset(network_.trajectory.states().size());
    input_.reset(batch * options.width);
    parameters_.reset(network_.model->parameters().size());
  }

  void forward() { sequence::propagate(*network_.model, network_.trajectory); }

  nonlinear::SolveReport shoot() {
    // The first guess: a copy of the input between the chunks, one a rank.
    sequence::Trajectory& trajectory = network_.trajectory;
    const ConstState z0 = trajectory.input();
    const States z = trajectory.states();
    if (z.size() > 0) std::copy(z0.begin(), z0.end(), z.end() - z0.size());
    return nonlinear::Shooting(trajectory.comm(), *network_.model, {}).solve(trajectory);
  }

  void backward(linear::LinearSolver& solver) {
    const auto shape = network_.trajectory.states().shape();
    nonlinear::adjoint(*network_.model, network_.trajectory, solver,
                       ConstStates(loss_.data(), {has_loss_ ? 1 : 0, shape[1], shape[2]}),
                       States(states_.data(), shape),
                       State(input_.data(), network_.trajectory.input().shape()),
                       {parameters_.data(), network_.model->parameters().shape()});
  }

 private:
  NetworkCase network_;
  Buffer<Real> loss_;  ///< of the last state, [B, n]
  bool has_loss_ = false;
  Buffer<Real> states_, input_, parameters_;
};

Row row_of(const char* method, const std::string& name, int ranks, const LinearSizes& sizes,
           const Seconds& seconds, const Seconds& baseline) {
  Row row{"shooting", name, method, ranks, sizes.steps, sizes.width, sizes.batch};
  row.seconds = seconds;
  row.compare("sequential execution on 1 rank", baseline);
  return row;
}

/// One chain, its sizes and what of it is timed.
struct Case {
  models::ModelOptions options;
  std::string name;
  LinearSizes sizes;
  bool backward;
};

std::unique_ptr<Passes> whole_chain(const parallel::Communicator& comm, const Case& what) {
  return std::make_unique<Passes>(comm, parallel::BlockLayout::balanced(what.sizes.steps, 1),
                                  what.options, what.sizes.batch, what.backward);
}

/// One step after another on one rank.
Contender sequential(const char* name, int ranks, Passes* chain, bool backward) {
  return {name, ranks, [chain, backward] {
            linear::Sequential substitution;
            chain->forward();
            if (backward) chain->backward(substitution);
          }};
}

/// Whole sequential runs on all ranks at once, against one alone.
Row side_by_side(Harness& harness, const Case& what, const parallel::Communicator& self,
                 Passes* alone) {
  const int P = harness.team().size();
  const auto other = harness.team().is_root() ? nullptr : whole_chain(self, what);
  Passes* mine = other ? other.get() : alone;
  const std::vector<Seconds> seconds =
      harness.race({sequential("alone", 1, alone, what.backward),
                    sequential("side by side", P, mine, what.backward)});
  // As much work one after the other.
  Row row{"shooting",       what.name,       "independent runs side by side", P, what.sizes.steps,
          what.sizes.width, what.sizes.batch};
  row.seconds = seconds[1];
  const double runs = P;
  row.compare("as many runs after each other on 1 rank",
              {runs * seconds[0].median, runs * seconds[0].min, runs * seconds[0].max});
  return row;
}

Row automatic(Harness& harness, const Case& what, Passes* alone) {
  const int P = harness.team().size();
  const LinearSizes& sizes = what.sizes;
  const auto passes =
      what.backward ? linear::Passes::forward_and_backward : linear::Passes::forward;
  Passes together(
      harness.team(),
      nonlinear::Shooting::layout(sizes.steps, P, 0, {sizes.batch, sizes.width}, passes),
      what.options, sizes.batch, what.backward);
  nonlinear::SolveReport report;
  nonlinear::LinearShooting back({0, 1e-10, true});
  const auto run = [&] {
    report = together.shoot();
    if (what.backward) together.backward(back);
  };
  const std::vector<Seconds> seconds =
      harness.race({sequential("sequential", 1, alone, what.backward), {"auto", P, run}});
  Row row = row_of("auto", what.name, P, sizes, seconds[1], seconds[0]);
  row.method = "auto: " + report.method + (report.linear.empty() ? "" : "+" + report.linear);
  if (what.backward) row.method += ", back: " + back.report().method;
  row.iterations = report.iterations;
  row.chunks = report.chunks;
  const auto L = static_cast<double>(sizes.steps);
  row.path_evaluations = report.path.evaluations / L;
  row.path_products = report.path.products / L;
  return row;
}

void run_case(Harness& harness, const Animal& animal, const LinearSizes& sizes, bool backward) {
  Case what{animal.options, animal.name + (backward ? ", forward and backward" : ", forward"),
            sizes, backward};
  what.options.steps = sizes.steps;
  what.options.width = sizes.width;
  // Other ranks have no whole chain but side by side: memory for two is enough.
  const parallel::Communicator self = parallel::Communicator::self();
  const auto alone = harness.takes_part(1) ? whole_chain(self, what) : nullptr;
  const Row side = side_by_side(harness, what, self, alone.get());
  Row row = automatic(harness, what, alone.get());
  row.demand(animal.forgets ? kShareOfGain * side.speedup : kNeverSlower);
  harness.add(side);
  harness.add(row);
  harness.show();
}

}  // namespace

void run_shooting(Harness& harness) {
  if (harness.team().size() == 1) {
    harness.note("shooting: needs two ranks or more, mpirun -n 2 deeppcr bench");
    return;
  }
  harness.at_least(kLeastRepeats);
  for (const int n : harness.widths_or({16, 64, 256}))
    for (const Index B : harness.batches_or({1, 32}))
      for (const Index L : harness.steps_or({8192}))
        for (const Animal& animal : chosen_animals(harness.settings().chains))
          for (const bool backward : {false, true}) run_case(harness, animal, {L, B, n}, backward);
}

}  // namespace deeppcr::app::bench
