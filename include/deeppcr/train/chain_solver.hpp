#pragma once

#include <memory>
#include <string>

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::train {

/// How the two passes through a chain are done.
struct ChainSolverOptions {
  std::string forward = "sequential";                        ///< from nonlinear::catalogue()
  nonlinear::Settings settings = {{1e-8, 0}, -1, true, {}};  ///< of the forward solver
  std::string backward = "sequential";                       ///< from linear::catalogue()
};

/// How a forward pass ended.
struct ForwardOutcome {
  int iterations = 0;  ///< of the forward solver; 0 where it has none
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

  /// Fills the states. Iterations start from what is there with `warm`, else from copies of z_0.
  /// Collective.
  ForwardOutcome forward(bool warm);

  /// The backward pass at these states.
  nonlinear::Adjoint& adjoint() { return adjoint_; }

 private:
  const sequence::Sequence& sequence_;
  sequence::Trajectory trajectory_;
  std::unique_ptr<nonlinear::Solver> forward_;
  bool iterates_;
  std::unique_ptr<linear::LinearSolver> backward_;
  nonlinear::Adjoint adjoint_;
};

}  // namespace deeppcr::train
