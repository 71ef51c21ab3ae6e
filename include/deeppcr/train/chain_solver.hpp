#pragma once

#include <functional>
#include <memory>
#include <string>

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::train {

/// How the two passes through a chain are done: "sequential", step after step; or the name of a
/// linear solver, forward inside Newton's method.
struct ChainSolverOptions {
  std::string forward = "sequential";
  std::string backward = "sequential";
  double newton_rtol = 1e-8;
  int max_iterations = 50;
};

/// How a forward pass ended.
struct ForwardOutcome {
  int newton_iterations = 0;
  bool fell_back = false;
  std::string failure;  ///< empty where the states are right
};

/// The two passes of training through one chain, again and again on batches of one size: states,
/// solvers and work space are made once.
class ChainSolver {
 public:
  /// Collective on comm, the ranks that the steps are split over. Both must outlive the object.
  ChainSolver(const parallel::Communicator& comm, const sequence::ParametricSequence& sequence,
              const parallel::BlockLayout& layout, Index batch, const ChainSolverOptions& options);

  /// input() is z_0, equal on all ranks; states() the guess and the result of forward().
  sequence::Trajectory& trajectory() { return trajectory_; }

  /// Fills the states. Newton starts from what is there with `warm`, else from copies of z_0.
  /// Collective.
  ForwardOutcome forward(bool warm);

  /// d loss / d z_L [B, n]: to be filled before backward() by the rank that owns the last step.
  State end_gradient();
  /// Parameter gradients [L_local, parameters a step] at the states, and input_gradient(). `ready`
  /// hears of each range of steps (global numbers) as soon as its gradients are final. Collective.
  /// Cost: a linearisation and a transposed linear solve, with the parameter gradients on its way
  /// where the solver substitutes once.
  void backward(View<Real, 2> gradients, const std::function<void(StepRange)>& ready);
  /// d loss / d z_0 [B, n], on the rank that owns the first step.
  ConstState input_gradient() const;

  double linearise_seconds() const { return linearise_; }
  double linear_seconds() const { return linear_; }
  double parameter_seconds() const { return parameters_; }

 private:
  std::array<Index, 2> state_shape() const { return {trajectory_.batch(), trajectory_.width()}; }
  void solve_transpose(const blocks::Linearisation& A);

  const parallel::Communicator& comm_;
  const sequence::ParametricSequence& sequence_;
  sequence::Trajectory trajectory_;
  std::unique_ptr<nonlinear::Newton> newton_;  ///< nothing for sequential passes
  blocks::BlockBidiagonal J_;
  std::unique_ptr<linear::LinearSolver> backward_;
  Buffer<Real> state_gradients_;  ///< [L_local, B, n]
  Buffer<Real> end_gradient_;     ///< [B, n], of the last state; where it is owned
  Buffer<Real> input_gradient_;   ///< [B, n]
  double linearise_ = 0, linear_ = 0, parameters_ = 0;
};

}  // namespace deeppcr::train
