#include "deeppcr/nonlinear/adjoint.hpp"

#include <algorithm>
#include <memory>

#include "deeppcr/nonlinear/collect.hpp"

namespace deeppcr::nonlinear {

namespace {

// d loss / d z_0 = A_0^T g_0, known to the rank that owns step 0, given to all.
void input_gradient(const parallel::Communicator& comm, const blocks::Linearisation& A,
                    StepRange local, ConstStates g, State result) {
  const std::array<Index, 3> column{result.extent(0), 1, result.extent(1)};
  if (local.contains(0)) A.vjp(0, ConstPanel(g.data(), column), Panel(result.data(), column));
  comm.broadcast(result.data(), result.size(), 0);
}

/// A linearisation that computes the parameter gradients while a solver substitutes through it.
class WithParameterGradients final : public blocks::Linearisation {
 public:
  /// in [m, B, n], grads [m, parameters]: of the steps of `local`.
  WithParameterGradients(const blocks::Linearisation& A,
                         const sequence::ParametricSequence& sequence, StepRange local,
                         ConstStates in, View<Real, 2> grads)
      : A_(A), sequence_(sequence), local_(local), in_(in), grads_(grads) {}

  void jvp(Index l, ConstPanel V, Panel W) const override { A_.jvp(l, V, W); }
  void vjp(Index l, ConstPanel V, Panel W) const override { A_.vjp(l, V, W); }
  void substitute(StepRange range, ConstStates rhs, States result, State carry) const override {
    A_.substitute(range, rhs, result, carry);
  }
  void substitute_transposed(StepRange range, ConstStates rhs, States result,
                             State carry) const override {
    const Index first = range.first - local_.first, last = range.last - local_.first;
    sequence_.backpropagate(
        A_, range, {in_.slice(first, last), rhs, result, carry, grads_.slice(first, last)});
  }
  void eliminate(StepRange range, ConstStates rhs, Panel map, Panel scratch) const override {
    A_.eliminate(range, rhs, map, scratch);
  }
  void eliminate_transposed(StepRange range, ConstStates rhs, Panel map,
                            Panel scratch) const override {
    A_.eliminate_transposed(range, rhs, map, scratch);
  }
  blocks::Structure structure() const override { return A_.structure(); }
  void blocks(StepRange range, Blocks A) const override { A_.blocks(range, A); }

 private:
  const blocks::Linearisation& A_;
  const sequence::ParametricSequence& sequence_;
  StepRange local_;
  ConstStates in_;
  View<Real, 2> grads_;
};

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
      // What the solver leaves out has no gradient.
      if (linear.skips_zeros() && loss_gradient.extent(0) == 0)
        std::fill(parameter_gradient.begin(), parameter_gradient.end(), 0.0);
      solve(linear, J, WithParameterGradients(*A, *parametric, local, in, parameter_gradient),
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
