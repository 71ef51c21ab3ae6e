#include "nonlinear/linear_backward.hpp"

#include <algorithm>

#include "nonlinear/backpropagation.hpp"

namespace deeppcr::nonlinear {

namespace {

/// Rows are handed on in pieces of about so many reals.
constexpr Index kPiece = Index{1} << 16;

Index piece_of(const BackwardTask& task, Index steps) {
  const Index row = task.parameters->numbers_a_step();
  if (!task.ready || row == 0) return std::max<Index>(1, steps);
  return std::max<Index>(1, kPiece / row);
}

}  // namespace

void LinearBackward::run(const BackwardTask& task, StageTimes& stages) {
  const sequence::Trajectory& at = task.at;
  if (!J_) J_.emplace(at.comm(), at.layout(), at.batch(), at.width());
  const StepRange local = at.local_range();
  // A step that is walked twice would be added twice; whoever hears of rows wants the last ones.
  const bool passes_once =
      task.ready ? solver_.substitutes_once() : solver_.substitutes_right_last();
  const bool together = task.wants_parameters() && passes_once && !task.parameters->any_shared();
  const Stopwatch watch;
  parallel::Traffic halo;
  const ConstStates in = at.starts(halo);
  const auto A = task.chain.linearise_at_solution(local, in, at.states());
  const double linearised = watch.seconds();
  std::optional<Backpropagation> gradients;
  if (task.wants_parameters())
    gradients.emplace(*A, task.chain, local, in, *task.parameters, piece_of(task, local.size()),
                      task.ready);
  J_->set_linearisation(together ? &*gradients : A.get());
  solver_.setup(*J_);
  solver_.solve_transpose(task.loss, task.gradient);
  const std::array<Index, 3> column{at.batch(), 1, at.width()};
  if (local.contains(0))
    A->product(0, Direction::backward, ConstPanel(task.gradient.data(), column),
               Panel(task.input.data(), column));
  const double solved = watch.seconds();
  if (gradients && !together)
    blocks::catch_up(*gradients, local, Direction::backward, task.gradient);
  J_->set_linearisation(nullptr);
  stages.add("linearise", linearised);
  stages.add("linear", solved - linearised);
  stages.add("parameters", watch.seconds() - solved);
}

}  // namespace deeppcr::nonlinear
