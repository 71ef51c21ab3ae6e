#pragma once

#include <memory>
#include <string>

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
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
  ChainSolver(const parallel::Communicator& comm, const sequence::Sequence& sequence,
              const parallel::BlockLayout& layout, Index batch, const ChainSolverOptions& options);

  /// input() is z_0, equal on all ranks; states() the guess and the result of forward().
  sequence::Trajectory& trajectory() { return trajectory_; }

  /// Fills the states. Newton starts from what is there with `warm`, else from copies of z_0.
  /// Collective.
  ForwardOutcome forward(bool warm);

  /// The backward pass at these states.
  nonlinear::Adjoint& adjoint() { return adjoint_; }

 private:
  const sequence::Sequence& sequence_;
  sequence::Trajectory trajectory_;
  std::unique_ptr<nonlinear::Newton> newton_;  ///< nothing for sequential passes
  std::unique_ptr<linear::LinearSolver> backward_;
  nonlinear::Adjoint adjoint_;
};

}  // namespace deeppcr::train
