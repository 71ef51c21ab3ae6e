#include "deeppcr/train/chain_solver.hpp"

#include "deeppcr/linear/catalogue.hpp"

namespace deeppcr::train {

ChainSolver::ChainSolver(const parallel::Communicator& comm, const sequence::Sequence& sequence,
                         const parallel::BlockLayout& layout, Index batch,
                         const ChainSolverOptions& options)
    : sequence_(sequence),
      trajectory_(comm, layout, batch, static_cast<int>(sequence.width())),
      forward_(nonlinear::find(options.forward).make(options.settings)),
      iterates_(nonlinear::find(options.forward).iterates),
      backward_(linear::make(options.backward)),
      adjoint_(sequence, trajectory_, *backward_) {}

ForwardOutcome ChainSolver::forward(bool warm) {
  if (iterates_ && !warm) trajectory_.fill_with_input();
  const nonlinear::SolveReport report = forward_->solve(sequence_, trajectory_);
  ForwardOutcome outcome;
  outcome.iterations = report.iterations;
  outcome.fell_back = report.status == nonlinear::Status::fell_back;
  if (report.status == nonlinear::Status::failed) outcome.failure = report.reason;
  return outcome;
}

}  // namespace deeppcr::train
