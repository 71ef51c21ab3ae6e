#include "deeppcr/nonlinear/adjoint.hpp"

#include <algorithm>
#include <memory>

#include "deeppcr/nonlinear/backpropagation.hpp"
#include "deeppcr/nonlinear/collect.hpp"

namespace deeppcr::nonlinear {

namespace {

// d loss / d z_0 = A_0^T g_0, known to the rank that owns step 0, given to all.
void input_gradient(const parallel::Communicator& comm, const blocks::Linearisation& A,
                    StepRange local, ConstStates g, State result) {
  const std::array<Index, 3> column{result.extent(0), 1, result.extent(1)};
  if (local.contains(0))
    A.product(0, Direction::backward, ConstPanel(g.data(), column), Panel(result.data(), column));
  comm.broadcast(result.data(), result.size(), 0);
}

void solve(linear::LinearSolver& linear, blocks::BlockBidiagonal& J, const blocks::Linearisation& A,
           ConstStates loss_gradient, States state_gradient) {
  J.set_linearisation(&A);
  linear.setup(J);
  linear.solve_transpose(loss_gradient, state_gradient);
}

}  // namespace

AdjointReport adjoint(const sequence::Sequence& sequence, const sequence::Trajectory& trajectory,
                      linear::LinearSolver& linear, ConstStates loss_gradient,
                      States state_gradient, State input_gradient_out,
                      View<Real, 2> parameter_gradient) {
  const parallel::Communicator& comm = trajectory.comm();
  const StepRange local = trajectory.local_range();
  StageTimes stages;
  const Stopwatch total;
  parallel::Traffic halo;
  ConstStates in;
  std::unique_ptr<blocks::Linearisation> A;
  {
    const StageTimer timer(stages, "linearise");
    in = trajectory.starts(halo);
    A = sequence.linearise_at_solution(local, in, trajectory.states());
  }
  const auto* parametric = dynamic_cast<const sequence::ParametricSequence*>(&sequence);
  const bool wanted = parameter_gradient.size() > 0;
  DEEPPCR_ASSERT(parametric != nullptr || !wanted, "no parameters to give the gradients of");
  const bool together = wanted && linear.substitutes_once();
  blocks::BlockBidiagonal J(comm, trajectory.layout(), trajectory.batch(), trajectory.width());
  {
    const StageTimer timer(stages, "linear");
    if (together) {
      solve(linear, J, Backpropagation(*A, *parametric, local, in, parameter_gradient),
            loss_gradient, state_gradient);
    } else {
      solve(linear, J, *A, loss_gradient, state_gradient);
    }
  }
  if (trajectory.layout().num_steps() == 0) {
    std::fill(input_gradient_out.begin(), input_gradient_out.end(), 0.0);
  } else {
    input_gradient(comm, *A, local, state_gradient, input_gradient_out);
  }
  if (wanted && !together) {
    const StageTimer timer(stages, "parameters");
    parametric->parameter_gradient_at(*A, local, in, state_gradient, parameter_gradient);
  }
  stages.add("total", total.seconds());
  AdjointReport report;
  report.seconds = slowest(comm, stages, {"linearise", "linear", "parameters", "total"});
  report.levels = total_traffic(comm, linear.level_traffic());
  report.neighbours = total_traffic(comm, linear.neighbour_traffic());
  return report;
}

}  // namespace deeppcr::nonlinear
