// The everyday table: shooting, as `auto` chooses, against one step after another.
#include "deeppcr/nonlinear/shooting.hpp"

#include <algorithm>

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

  /// This rank's steps for themselves, as if they were a chain of their own.
  void own_steps() {
    const sequence::Trajectory& trajectory = network_.trajectory;
    network_.model->propagate(trajectory.local_range(), trajectory.input(),
                              network_.trajectory.states());
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

void run_case(Harness& harness, const Animal& animal, const LinearSizes& sizes, bool backward) {
  const int P = harness.team().size();
  models::ModelOptions options = animal.options;
  options.steps = sizes.steps;
  options.width = sizes.width;
  const auto alone = harness.takes_part(1)
                         ? std::make_unique<Passes>(harness.solo(),
                                                    parallel::BlockLayout::balanced(sizes.steps, 1),
                                                    options, sizes.batch, backward)
                         : nullptr;
  const auto layout =
      backward ? parallel::BlockLayout::balanced(sizes.steps, P)
               : nonlinear::Shooting::layout(sizes.steps, P, 0, {sizes.batch, sizes.width});
  Passes together(harness.team(), layout, options, sizes.batch, backward);
  nonlinear::SolveReport report;
  nonlinear::LinearShooting back({0, 1e-10, true});
  linear::Sequential back_alone;
  const std::vector<Seconds> seconds =
      harness.race({{"sequential", 1,
                     [&] {
                       alone->forward();
                       if (backward) alone->backward(back_alone);
                     }},
                    {"auto", P,
                     [&] {
                       report = together.shoot();
                       if (backward) together.backward(back);
                     }},
                    {"side by side", P, [&] { together.own_steps(); }},
                    {"sequential forward", 1, [&] { alone->forward(); }}});
  const std::string name = animal.name + (backward ? ", forward and backward" : ", forward");
  Row side = row_of("independent runs side by side", name, P, sizes, seconds[2], seconds[3]);
  Row row = row_of("auto", name, P, sizes, seconds[1], seconds[0]);
  row.method = "auto: " + report.method + (report.linear.empty() ? "" : "+" + report.linear);
  if (backward) row.method += ", back: " + back.report().method;
  row.iterations = report.iterations;
  row.chunks = report.chunks;
  const auto L = static_cast<double>(sizes.steps);
  row.path_evaluations = report.path.evaluations / L;
  row.path_products = report.path.products / L;
  row.demand(animal.forgets ? kShareOfGain * side.speedup : kNeverSlower);
  harness.add(side);
  harness.add(row);
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
        for (const Animal& animal : zoo())
          for (const bool backward : {false, true}) run_case(harness, animal, {L, B, n}, backward);
}

}  // namespace deeppcr::app::bench
