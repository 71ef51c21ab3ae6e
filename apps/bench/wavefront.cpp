// Stacked recurrent cells as a wavefront of layers over time, against step after step on one rank.
#include <algorithm>
#include <memory>

#include "deeppcr/core/random.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

/// Wanted of two layers on two ranks.
constexpr double kGain = 1.6;

struct Case {
  models::ModelOptions options;
  Index batch;
  bool backward;
};

/// One method with all that its passes need, a loss on the last state.
class Passes {
 public:
  Passes(const parallel::Communicator& comm, const char* method, const Case& what)
      : solver_(nonlinear::find(method).make()),
        z_(comm, parallel::BlockLayout::balanced(what.options.steps, comm.size()), what.batch,
           models::state_width(what.options)),
        cells_(models::make(what.options, z_.local_steps())) {
    const StepSet local = z_.local_steps();
    const Index d = cells_->input_width(), row = what.batch * d;
    x_.reset(local.size() * row);
    for (Index i = 0; i < local.size(); ++i)
      RandomStream(1, 1).normal(local.step(i) * row, row, x_.data() + i * row);
    chain_ = cells_->bound_to({local, {x_.data(), {local.size(), what.batch, d}}});
    if (!what.backward) return;
    loss_.reset(local.contains(what.options.steps - 1) ? z_.input().size() : 0);
    std::fill(loss_.begin(), loss_.end(), 1.0);
    parameters_ = sequence::ParameterGradients(cells_->parameters());
    adjoint_ = std::make_unique<nonlinear::Adjoint>(*chain_, z_, nonlinear::make_backward(method));
  }

  void run() {
    report_ = solver_->solve(*chain_, z_);
    if (!adjoint_) return;
    const Index rows = loss_.size() > 0 ? 1 : 0;
    adjoint_->solve({loss_.data(), {rows, z_.batch(), z_.width()}}, &parameters_);
  }

  const nonlinear::SolveReport& report() const { return report_; }

 private:
  std::unique_ptr<nonlinear::Solver> solver_;
  sequence::Trajectory z_;
  std::unique_ptr<sequence::Sequence> cells_, chain_;
  Buffer<Real> x_, loss_;
  sequence::ParameterGradients parameters_;
  std::unique_ptr<nonlinear::Adjoint> adjoint_;
  nonlinear::SolveReport report_;
};

void run_case(Harness& harness, const Case& what) {
  const parallel::Communicator self = parallel::Communicator::self();
  const models::ModelOptions& options = what.options;
  const int P = harness.team().size();
  Passes whole(self, "sequential", what), together(harness.team(), "wavefront", what);
  const std::vector<Seconds> seconds = harness.race(
      {{"sequential", 1, [&] { whole.run(); }}, {"wavefront", P, [&] { together.run(); }}});
  Row row{"wavefront",
          fmt::format("{} layers of {}, {}", options.own.whole("layers"), options.model,
                      what.backward ? "forward and backward" : "forward"),
          "wavefront",
          P,
          options.steps,
          options.width,
          what.batch};
  row.seconds = seconds[1];
  row.compare("sequential execution on 1 rank", seconds[0]);
  row.path_evaluations = together.report().path.evaluations / static_cast<double>(options.steps);
  row.predicted = 1 / row.path_evaluations;
  row.chunks = together.report().pipeline->chunks;
  if (!what.backward && what.options.width >= 64) row.demand(kGain);
  harness.add(row);
}

}  // namespace

void run_wavefront(Harness& harness) {
  const int P = harness.team().size();
  if (P == 1) {
    harness.note("wavefront: needs two ranks or more, mpirun -n 2 deeppcr-bench");
    return;
  }
  for (const char* model : {"gru", "lstm"})
    for (const int n : harness.widths_or({16, 64, 256}))
      for (const Index B : harness.batches_or({1}))
        for (const Index T : harness.steps_or({4096}))
          for (const bool backward : {false, true}) {
            Case what{{}, B, backward};
            what.options.model = model;
            what.options.steps = T;
            what.options.width = n;
            what.options.set("layers", P);
            run_case(harness, what);
          }
  harness.show();
}

}  // namespace deeppcr::bench
