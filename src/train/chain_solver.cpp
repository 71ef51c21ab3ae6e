#include "deeppcr/train/chain_solver.hpp"

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::train {

namespace {

constexpr const char* kSequential = "sequential";

nonlinear::NewtonOptions newton_options(const ChainSolverOptions& options) {
  nonlinear::NewtonOptions newton;
  newton.linear = options.forward;
  newton.rtol = options.newton_rtol;
  newton.max_iterations = options.max_iterations;
  return newton;
}

}  // namespace

ChainSolver::ChainSolver(const parallel::Communicator& comm, const sequence::Sequence& sequence,
                         const parallel::BlockLayout& layout, Index batch,
                         const ChainSolverOptions& options)
    : sequence_(sequence),
      trajectory_(comm, layout, batch, static_cast<int>(sequence.width())),
      backward_(linear::find(options.backward).make()),
      adjoint_(sequence, trajectory_, *backward_) {
  if (options.forward != kSequential)
    newton_ = std::make_unique<nonlinear::Newton>(newton_options(options));
}

ForwardOutcome ChainSolver::forward(bool warm) {
  ForwardOutcome outcome;
  if (!newton_) {
    sequence::propagate(sequence_, trajectory_);
    return outcome;
  }
  if (!warm) trajectory_.fill_with_input();
  const nonlinear::SolveReport report = newton_->solve(sequence_, trajectory_);
  outcome.newton_iterations = report.iterations;
  outcome.fell_back = report.status == nonlinear::Status::fell_back;
  if (report.status == nonlinear::Status::failed) outcome.failure = report.reason;
  return outcome;
}

}  // namespace deeppcr::train
