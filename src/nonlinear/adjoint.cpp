#include "deeppcr/nonlinear/adjoint.hpp"

#include <utility>

#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "nonlinear/linear_backward.hpp"

namespace deeppcr::nonlinear {

Adjoint::Adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
                 std::unique_ptr<Backward> backward)
    : sequence_(sequence),
      trajectory_(trajectory),
      backward_(std::move(backward)),
      states_(trajectory.states().size()),
      input_(trajectory.input().size()) {
  require_layout(*backward_, trajectory.layout());
}

Adjoint::Adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
                 linear::LinearSolver& linear)
    : Adjoint(sequence, trajectory, std::make_unique<LinearBackward>(linear)) {}

void Adjoint::solve(ConstStates loss, sequence::ParameterGradients* parameters,
                    const Ready& ready) {
  const petsc::LogEvent event("nonlinear.adjoint");
  stages_ = {};
  const Stopwatch watch;
  const BackwardTask task{sequence_,
                          trajectory_,
                          loss,
                          {states_.data(), trajectory_.states().shape()},
                          {input_.data(), trajectory_.input().shape()},
                          parameters,
                          ready};
  if (task.wants_parameters()) parameters->clear_shared();
  backward_->run(task, stages_);
  const Stopwatch behind;
  for (int g = 0; task.wants_parameters() && g < parameters->groups(); ++g)
    if (parameters->shared(g))
      trajectory_.comm().sum((*parameters)[g].data(), (*parameters)[g].size());
  stages_.add("parameters", behind.seconds());
  stages_.add("total", watch.seconds());
}

void Adjoint::share_input() {
  if (trajectory_.layout().num_steps() > 0)
    trajectory_.comm().broadcast(input_.data(), input_.size(), 0);
}

AdjointReport Adjoint::report() const {
  const parallel::Communicator& comm = trajectory_.comm();
  AdjointReport report;
  parallel::Reduction together;
  const Totals totals(together, stages_, {"linearise", "linear", "parameters", "total"},
                      backward_->levels(), backward_->neighbours());
  together.run(comm);
  report.seconds = totals.slowest(together);
  report.levels = totals.levels(together);
  report.neighbours = totals.neighbours(together);
  report.outcome = backward_->outcome(trajectory_.layout());
  report.pipeline = backward_->pipeline();
  return report;
}

}  // namespace deeppcr::nonlinear
