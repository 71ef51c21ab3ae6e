#include "deeppcr/train/chain_solver.hpp"

#include <algorithm>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/backpropagation.hpp"
#include "deeppcr/sequence/propagate.hpp"

namespace deeppcr::train {

namespace {

constexpr const char* kSequential = "sequential";
/// Gradients are handed on in pieces of about so many reals.
constexpr Index kPiece = Index{1} << 16;

nonlinear::NewtonOptions newton_options(const ChainSolverOptions& options) {
  nonlinear::NewtonOptions newton;
  newton.linear = options.forward;
  newton.rtol = options.newton_rtol;
  newton.max_iterations = options.max_iterations;
  return newton;
}

}  // namespace

ChainSolver::ChainSolver(const parallel::Communicator& comm,
                         const sequence::ParametricSequence& sequence,
                         const parallel::BlockLayout& layout, Index batch,
                         const ChainSolverOptions& options)
    : comm_(comm),
      sequence_(sequence),
      trajectory_(comm, layout, batch, static_cast<int>(sequence.width())),
      J_(comm, layout, batch, static_cast<int>(sequence.width())),
      backward_(linear::find(options.backward).make()),
      state_gradients_(trajectory_.states().size()),
      end_gradient_(trajectory_.local_range().contains(layout.num_steps() - 1)
                        ? trajectory_.input().size()
                        : 0),
      input_gradient_(trajectory_.input().size()) {
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

State ChainSolver::end_gradient() { return {end_gradient_.data(), state_shape()}; }

ConstState ChainSolver::input_gradient() const { return {input_gradient_.data(), state_shape()}; }

/// The loss depends on the last state alone: one row on its rank, none elsewhere.
void ChainSolver::solve_transpose(const blocks::Linearisation& A) {
  const Index rows = end_gradient_.empty() ? 0 : 1;
  J_.set_linearisation(&A);
  backward_->setup(J_);
  backward_->solve_transpose(
      {end_gradient_.data(), {rows, trajectory_.batch(), trajectory_.width()}},
      {state_gradients_.data(), trajectory_.states().shape()});
}

void ChainSolver::backward(View<Real, 2> gradients, const std::function<void(StepRange)>& ready) {
  const StepRange local = trajectory_.local_range();
  const Index piece = std::max<Index>(1, kPiece / std::max<Index>(1, gradients.extent(1)));
  const Stopwatch watch;
  parallel::Traffic halo;
  const ConstStates in = trajectory_.starts(halo);
  const auto A = sequence_.linearise_at_solution(local, in, trajectory_.states());
  linearise_ = watch.seconds();

  const bool together = backward_->substitutes_once();
  if (together) {
    solve_transpose(nonlinear::Backpropagation(*A, sequence_, local, in, gradients, piece, ready));
  } else {
    solve_transpose(*A);
  }
  const States g(state_gradients_.data(), trajectory_.states().shape());
  if (local.contains(0)) {
    const std::array<Index, 3> column{trajectory_.batch(), 1, trajectory_.width()};
    A->product(0, Direction::backward, ConstPanel(g.data(), column),
               Panel(input_gradient_.data(), column));
  }
  linear_ = watch.seconds() - linearise_;

  for (Index first = 0; first < local.size() && !together; first += piece) {
    const Index last = std::min(local.size(), first + piece);
    const StepRange range{local.first + first, local.first + last};
    sequence_.parameter_gradient_at(*A, range, in.slice(first, last), g.slice(first, last),
                                    gradients.slice(first, last));
    ready(range);
  }
  parameters_ = watch.seconds() - linear_ - linearise_;
}

}  // namespace deeppcr::train
