#include "deeppcr/nonlinear/adjoint.hpp"

#include <algorithm>

#include "deeppcr/nonlinear/collect.hpp"
#include "deeppcr/sequence/residual.hpp"

namespace deeppcr::nonlinear {

namespace {

// d loss / d z_0 = A_0^T g_0, known to the rank that owns step 0, given to all.
void input_gradient(const parallel::Communicator& comm, const blocks::Linearisation& A,
                    StepRange local, ConstStates g, State result) {
  const std::array<Index, 3> column{result.extent(0), 1, result.extent(1)};
  if (local.contains(0)) A.vjp(0, ConstPanel(g.data(), column), Panel(result.data(), column));
  comm.broadcast(result.data(), result.size(), 0);
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
  sequence::ResidualEvaluator evaluator(comm, sequence, trajectory.layout(), trajectory.batch());
  {
    const StageTimer timer(stages, "linearise");
    evaluator.linearise_at_solution(trajectory.input(), trajectory.states());
  }
  blocks::BlockBidiagonal J(comm, trajectory.layout(), trajectory.batch(), trajectory.width());
  J.set_linearisation(&evaluator.linearisation());
  {
    const StageTimer timer(stages, "linear");
    linear.setup(J);
    linear.solve_transpose(loss_gradient, state_gradient);
  }
  if (trajectory.layout().num_steps() == 0) {
    std::fill(input_gradient_out.begin(), input_gradient_out.end(), 0.0);
  } else {
    input_gradient(comm, evaluator.linearisation(), local, state_gradient, input_gradient_out);
  }
  if (parameter_gradient.size() > 0) {
    const StageTimer timer(stages, "parameters");
    const auto* parametric = dynamic_cast<const sequence::ParametricSequence*>(&sequence);
    DEEPPCR_ASSERT(parametric != nullptr, "parameter gradients of a sequence without parameters");
    parametric->parameter_gradient_at(evaluator.linearisation(), local, evaluator.starts(),
                                      state_gradient, parameter_gradient);
  }
  stages.add("total", total.seconds());
  AdjointReport report;
  report.seconds = slowest(comm, stages, {"linearise", "linear", "parameters", "total"});
  report.levels = total_traffic(comm, linear.level_traffic());
  report.neighbours = total_traffic(comm, linear.neighbour_traffic());
  return report;
}

}  // namespace deeppcr::nonlinear
