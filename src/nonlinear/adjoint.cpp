#include "deeppcr/nonlinear/adjoint.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include "deeppcr/nonlinear/recording.hpp"
#include "deeppcr/petsc/log_event.hpp"
#include "nonlinear/backpropagation.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Rows are handed on in pieces of about so many reals.
constexpr Index kPiece = Index{1} << 16;

Index piece_of(const sequence::ParameterGradients& parameters, Index steps, bool in_pieces) {
  const Index row = parameters.numbers_a_step();
  if (!in_pieces || row == 0) return std::max<Index>(1, steps);
  return std::max<Index>(1, kPiece / row);
}

}  // namespace

Adjoint::Adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
                 linear::LinearSolver& linear)
    : sequence_(sequence),
      trajectory_(trajectory),
      linear_(linear),
      J_(trajectory.comm(), trajectory.layout(), trajectory.batch(), trajectory.width()),
      states_(trajectory.states().size()),
      input_(trajectory.input().size()) {}

void Adjoint::sum_shared(sequence::ParameterGradients& parameters) const {
  for (int g = 0; g < parameters.groups(); ++g)
    if (parameters.shared(g)) trajectory_.comm().sum(parameters[g].data(), parameters[g].size());
}

void Adjoint::solve(ConstStates loss, sequence::ParameterGradients* parameters,
                    const Ready& ready) {
  const petsc::LogEvent event("nonlinear.adjoint");
  const StepRange local = trajectory_.local_range();
  const bool wanted = parameters != nullptr && !parameters->empty();
  // A step that is walked twice would be added twice; whoever hears of rows wants the last ones.
  const bool passes_once = ready ? linear_.substitutes_once() : linear_.substitutes_right_last();
  const bool together = wanted && passes_once && !parameters->any_shared();
  stages_ = {};
  const Stopwatch watch;
  parallel::Traffic halo;
  const ConstStates in = trajectory_.starts(halo);
  const auto A = sequence_.linearise_at_solution(local, in, trajectory_.states());
  const double linearised = watch.seconds();
  std::optional<Backpropagation> gradients;
  if (wanted)
    gradients.emplace(*A, sequence_, local, in, *parameters,
                      piece_of(*parameters, local.size(), bool(ready)), ready);
  J_.set_linearisation(together ? &*gradients : A.get());
  linear_.setup(J_);
  linear_.solve_transpose(loss, {states_.data(), trajectory_.states().shape()});
  const std::array<Index, 3> column{trajectory_.batch(), 1, trajectory_.width()};
  if (local.contains(0))
    A->product(0, Direction::backward, ConstPanel(states_.data(), column),
               Panel(input_.data(), column));
  const double solved = watch.seconds();
  if (wanted && !together) {
    parameters->clear_shared();
    blocks::catch_up(*gradients, local, Direction::backward, states());
    sum_shared(*parameters);
  }
  J_.set_linearisation(nullptr);
  stages_.add("linearise", linearised);
  stages_.add("linear", solved - linearised);
  stages_.add("parameters", watch.seconds() - solved);
  stages_.add("total", watch.seconds());
}

void Adjoint::share_input() {
  if (trajectory_.layout().num_steps() > 0)
    trajectory_.comm().broadcast(input_.data(), input_.size(), 0);
}

AdjointReport Adjoint::report() const {
  const parallel::Communicator& comm = trajectory_.comm();
  AdjointReport report;
  report.seconds = slowest(comm, stages_, {"linearise", "linear", "parameters", "total"});
  report.levels = total_traffic(comm, linear_.level_traffic());
  report.neighbours = total_traffic(comm, linear_.neighbour_traffic());
  return report;
}

}  // namespace deeppcr::nonlinear
