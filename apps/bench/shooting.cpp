// The everyday table: shooting, as `auto` chooses, against one step after another.
//
// What the machine has to give is measured first: every rank runs the whole chain by itself, at the
// same time, with weights and states of its own. P such runs in the time t_together, one of them
// alone in t_alone, are a gain of P t_alone / t_together. Pieces of the chain would not do: half of
// the weights may stay in a core's caches from run to run where all of them do not. Where memory
// allows it all is timed in turns, so that what is compared had the same machine.
#include "deeppcr/nonlinear/shooting.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include "chains.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "linear/sequential.hpp"
#include "linear/shooting.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
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
    parameters_ = sequence::ParameterGradients(network_.model->parameters());
  }

  const parallel::BlockLayout& layout() const { return network_.trajectory.layout(); }

  void forward() { sequence::propagate(*network_.model, network_.trajectory); }

  nonlinear::SolveReport shoot() {
    // The first guess: a copy of the input between the chunks, one a rank.
    sequence::Trajectory& trajectory = network_.trajectory;
    const ConstState z0 = trajectory.input();
    const States z = trajectory.states();
    if (z.size() > 0) std::copy(z0.begin(), z0.end(), z.end() - z0.size());
    return nonlinear::Shooting({}).solve(*network_.model, trajectory);
  }

  void backward(linear::LinearSolver& solver) {
    const auto shape = network_.trajectory.states().shape();
    nonlinear::Adjoint(*network_.model, network_.trajectory, solver)
        .solve({loss_.data(), {has_loss_ ? 1 : 0, shape[1], shape[2]}}, &parameters_);
  }

 private:
  NetworkCase network_;
  Buffer<Real> loss_;  ///< of the last state, [B, n]
  bool has_loss_ = false;
  sequence::ParameterGradients parameters_;
};

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

/// As `auto` chooses, on all ranks together.
class Together {
 public:
  Together(const parallel::Communicator& comm, const Case& what)
      : what_(what),
        ranks_(comm.size()),
        passes_(
            comm,
            nonlinear::Shooting({}).layout(
                {what.sizes.steps, what.sizes.batch, what.sizes.width, ranks_,
                 what.backward ? linear::Passes::forward_and_backward : linear::Passes::forward}),
            what.options, what.sizes.batch, what.backward) {}

  Contender contender() {
    return {"auto", ranks_, [this] {
              report_ = passes_.shoot();
              if (what_.backward) passes_.backward(back_);
            }};
  }

  Row row(const Seconds& seconds, const Seconds& baseline) const {
    const LinearSizes& sizes = what_.sizes;
    Row row{"shooting",  what_.name, "auto: " + report_.method, ranks_, sizes.steps,
            sizes.width, sizes.batch};
    row.seconds = seconds;
    row.compare("sequential execution on 1 rank", baseline);
    if (!report_.linear.empty()) row.method += "+" + report_.linear;
    if (what_.backward) row.method += ", back: " + back_.report(passes_.layout()).method;
    row.iterations = report_.iterations;
    row.chunks = report_.chunks;
    const auto L = static_cast<double>(sizes.steps);
    row.path_evaluations = report_.path.evaluations / L;
    row.path_products = report_.path.products / L;
    return row;
  }

 private:
  const Case& what_;
  int ranks_;
  Passes passes_;
  nonlinear::SolveReport report_;
  linear::Shooting back_{{1e-10, 0, true}};
};

/// Whole sequential runs on all ranks at once, against as many one after the other.
Row side_by_side(const Case& what, int ranks, const Seconds& seconds, const Seconds& alone) {
  Row row{"shooting",      what.name,        "independent runs side by side",
          ranks,           what.sizes.steps, what.sizes.width,
          what.sizes.batch};
  row.seconds = seconds;
  const double runs = ranks;
  row.compare("as many runs after each other on 1 rank",
              {runs * alone.median, runs * alone.min, runs * alone.max});
  return row;
}

/// Whether a chain on each rank and one more on all together fit into memory.
bool all_fit(const parallel::Communicator& comm, const Case& what) {
  const auto L = static_cast<double>(what.sizes.steps), n = static_cast<double>(what.sizes.width);
  const auto B = static_cast<double>(what.sizes.batch);
  const models::StepCost step = models::step_cost(what.options);
  const double arrays = what.backward ? 2 : 1;  // gradients are as large as what they are of
  const double slopes = what.backward ? step.layers : 0;
  const double chain = sizeof(Real) * L * (arrays * (step.parameters + B * n) + slopes * B * n);
  return comm.min(parallel::available_bytes()) > 1.1 * chain * (comm.size() + 1);
}

void run_case(Harness& harness, const NamedChain& chain, const LinearSizes& sizes, bool backward) {
  Case what{chain.options, chain.name + (backward ? ", forward and backward" : ", forward"), sizes,
            backward};
  what.options.steps = sizes.steps;
  what.options.width = sizes.width;
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = harness.team().size();
  const bool fit = all_fit(harness.team(), what);
  auto mine = whole_chain(self, what);
  const Contender alone = sequential("sequential", 1, mine.get(), backward);
  const Contender side = sequential("side by side", P, mine.get(), backward);
  std::optional<Together> together;
  std::vector<Seconds> seconds;
  if (fit) {
    together.emplace(harness.team(), what);
    // Twice in each turn, as the chain of the other two: its data then are as near to the cores.
    // One counts: as many samples of each.
    const Contender shared = together->contender();
    const std::vector<Seconds> found = harness.race({alone, shared, side, shared});
    seconds = {found[0], found[2], found[1]};
    harness.add(side_by_side(what, P, seconds[1], seconds[0]));
  } else {
    seconds = harness.race({alone, side});
    harness.add(side_by_side(what, P, seconds[1], seconds[0]));
    if (!harness.takes_part(1)) mine.reset();
    together.emplace(harness.team(), what);
    const std::vector<Seconds> again = harness.race({alone, together->contender()});
    seconds = {again[0], seconds[1], again[1]};
  }
  Row row = together->row(seconds[2], seconds[0]);
  row.demand(chain.forgets ? kShareOfGain * harness.rows().back().speedup : kNeverSlower);
  harness.add(row);
  harness.show();
}

}  // namespace

void run_shooting(Harness& harness) {
  if (harness.team().size() == 1) {
    harness.note("shooting: needs two ranks or more, mpirun -n 2 deeppcr-bench");
    return;
  }
  harness.at_least(kLeastRepeats);
  for (const int n : harness.widths_or({16, 64, 256}))
    for (const Index B : harness.batches_or({1, 32}))
      for (const Index L : harness.steps_or({8192}))
        for (const NamedChain& chain : chosen_chains(harness.settings().chains))
          for (const bool backward : {false, true}) run_case(harness, chain, {L, B, n}, backward);
}

}  // namespace deeppcr::bench
