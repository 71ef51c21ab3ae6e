// Pipelines on all ranks, contiguous, interleaved and as `auto` chooses, against one step after
// another on one rank. What the machine has to give is measured in the same turns: every rank runs
// its part of the samples through a chain of its own.
#include <algorithm>
#include <memory>

#include "chains.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "linear_case.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

/// Wanted of a pipeline for narrow chains; of `auto`, of the gain that parts of the batch side by
/// side have.
constexpr double kGain = 1.4, kShareOfGain = 0.9;
constexpr int kNarrow = 64;

/// A solver by its words on the command line.
struct Method {
  const char* name;
  const char* layout;  ///< of a pipeline; null: no such option
};
constexpr Method kSequential{"sequential", nullptr};
constexpr Method kMethods[] = {
    {"pipeline", "contiguous"}, {"pipeline", "interleaved"}, {"auto", nullptr}};

/// A chain, its sizes and what of it is timed.
struct Case {
  models::ModelOptions options;
  std::string name;
  LinearSizes sizes;
  bool backward;

  nonlinear::Problem problem(Index batch, int ranks) const {
    return {sizes.steps, batch, sizes.width, ranks,
            backward ? linear::Passes::forward_and_backward : linear::Passes::forward};
  }
};

/// One method with all that its passes need, a loss on the last state.
class Passes {
 public:
  Passes(const parallel::Communicator& comm, const Method& method, const Case& what, Index batch)
      : iterates_(nonlinear::find(method.name).iterates),
        solver_(nonlinear::find(method.name).make(settings(method))),
        network_(comm, solver_->layout(what.problem(batch, comm.size())), what.options, batch) {
    if (!what.backward) return;
    const StepSet local = network_.trajectory.local_steps();
    loss_.reset(local.contains(what.sizes.steps - 1) ? network_.trajectory.input().size() : 0);
    std::fill(loss_.begin(), loss_.end(), 1.0);
    parameters_ = sequence::ParameterGradients(network_.model->parameters());
    const auto& entry = nonlinear::find(method.name);
    adjoint_ = std::make_unique<nonlinear::Adjoint>(
        *network_.model, network_.trajectory,
        nonlinear::make_backward(entry.backward_for(settings(method).own)));
  }

  void run() {
    sequence::Trajectory& z = network_.trajectory;
    if (iterates_ && !report_.pipeline) z.fill_with_input();
    report_ = solver_->solve(*network_.model, z);
    if (!adjoint_) return;
    const Index rows = loss_.size() > 0 ? 1 : 0;
    adjoint_->solve({loss_.data(), {rows, z.batch(), z.width()}}, &parameters_);
  }

  const nonlinear::SolveReport& report() const { return report_; }

 private:
  static nonlinear::Settings settings(const Method& method) {
    nonlinear::Settings made;
    if (method.layout == nullptr) return made;
    made.own = OptionValues(nonlinear::find(method.name).options);
    made.own.set("pipeline-layout", method.layout);
    return made;
  }

  bool iterates_;
  std::unique_ptr<nonlinear::Solver> solver_;
  NetworkCase network_;
  Buffer<Real> loss_;
  sequence::ParameterGradients parameters_;
  std::unique_ptr<nonlinear::Adjoint> adjoint_;
  nonlinear::SolveReport report_;
};

Contender contender(const char* name, int ranks, Passes& passes) {
  return {name, ranks, [&passes] { passes.run(); }};
}

Row row_of(const Case& what, const std::string& method, int ranks, const Seconds& seconds,
           const Seconds& alone) {
  Row row{"pipeline",       what.name,        method,          ranks,
          what.sizes.steps, what.sizes.width, what.sizes.batch};
  row.seconds = seconds;
  row.compare("sequential execution on 1 rank", alone);
  return row;
}

/// Whether a rank's two chains and one more on all together fit into memory.
bool fits(const parallel::Communicator& comm, const Case& what) {
  const models::StepCost step = models::step_cost(what.options);
  const double state = static_cast<double>(what.sizes.batch) * what.sizes.width;
  const double arrays = what.backward ? 2 : 1;  // gradients are as large as what they are of
  const double chain =
      sizeof(Real) * static_cast<double>(what.sizes.steps) * arrays * (step.parameters + 2 * state);
  return comm.min(parallel::available_bytes()) > 1.1 * chain * (2 * comm.size() + 1);
}

void run_case(Harness& harness, const Case& what) {
  const parallel::Communicator self = parallel::Communicator::self();
  const int P = harness.team().size();
  if (!fits(harness.team(), what)) {
    harness.note(
        fmt::format("pipeline: {}, width {}: not enough memory", what.name, what.sizes.width));
    return;
  }
  Passes whole(self, kSequential, what, what.sizes.batch);
  Passes part(self, kSequential, what, std::max<Index>(1, what.sizes.batch / P));
  for (const Method& method : kMethods) {
    Passes together(harness.team(), method, what, what.sizes.batch);
    const std::vector<Seconds> seconds =
        harness.race({contender("sequential", 1, whole), contender("parts", P, part),
                      contender(method.name, P, together)});
    const bool automatic = method.layout == nullptr;
    const Row parts = row_of(what, "parts of the batch side by side", P, seconds[1], seconds[0]);
    if (automatic) harness.add(parts);
    const auto& report = together.report();
    Row row = row_of(what, std::string(automatic ? "auto: " : "") + report.method, P, seconds[2],
                     seconds[0]);
    row.path_evaluations = report.path.evaluations / static_cast<double>(what.sizes.steps);
    if (report.pipeline) {
      row.method += " " + report.pipeline->layout;
      row.chunks = report.pipeline->micro_batches;
      row.predicted = 1 / row.path_evaluations;
    }
    if (automatic) {
      row.demand(kShareOfGain * parts.speedup);
    } else if (what.sizes.width <= kNarrow && !what.backward) {
      row.demand(kGain);
    }
    harness.add(row);
  }
  harness.show();
}

}  // namespace

void run_pipeline(Harness& harness) {
  if (harness.team().size() == 1) {
    harness.note("pipeline: needs two ranks or more, mpirun -n 2 deeppcr-bench");
    return;
  }
  for (const int n : harness.widths_or({16, 64, 256}))
    for (const Index B : harness.batches_or({32}))
      for (const Index L : harness.steps_or({4096}))
        for (const NamedChain& chain : chosen_chains(harness.settings().chains))
          for (const bool backward : {false, true}) {
            Case what{chain.options,
                      chain.name + (backward ? ", forward and backward" : ", forward"),
                      {L, B, n},
                      backward};
            what.options.steps = L;
            what.options.width = n;
            run_case(harness, what);
          }
}

}  // namespace deeppcr::bench
