#pragma once

#include <memory>

#include "deeppcr/linear/linear_solver.hpp"
#include "deeppcr/nonlinear/approximate_jacobian.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/residual.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

class NewtonSnes;
class Windowed;

struct NewtonOptions {
  std::string linear = "hybrid";  ///< a name from linear::catalogue()
  /// Others than dense leave PETSc aside: see Windowed.
  Jacobian jacobian = Jacobian::dense;
  double rtol = 1e-10;  ///< relative to the largest state
  double atol = 0;
  int max_iterations = 50;
  bool fallback = true;  ///< end by sequential substitution where Newton does not converge
};

/// The work on Newton's longest path: each iteration evaluates and substitutes the steps of a rank,
/// and multiplies matrices as the linear solver (a name from linear::catalogue()) does.
CriticalPath newton_path(const std::string& linear, const parallel::BlockLayout& layout,
                         int iterations);

/// The same for one linear solve.
CriticalPath linear_path(const std::string& linear, const parallel::BlockLayout& layout);

/// Newton's method on all steps at once, as PETSc's SNES: prefix "", so -snes_*, -ksp_* and -pc_*
/// of the option data base apply. The linear solver is KSPPREONLY with the PC "deeppcr" unless
/// those options put another in its place.
///
/// Source: DeepPCR, arXiv 2309.16318, sec. 3; the prefix argument: after k iterations the first k
/// states are exact.
class Newton {
 public:
  Newton(const parallel::Communicator& comm, const sequence::Sequence& sequence,
         NewtonOptions options);
  ~Newton();

  /// Starts from trajectory.states(), leaves the solution there. Numerical failure is a status, not
  /// an exception. What depends on layout and sizes only is kept for the next solve with the same
  /// trajectory. Collective.
  SolveReport solve(sequence::Trajectory& trajectory, Monitor* monitor = nullptr);

 private:
  std::unique_ptr<NewtonSnes> snes_;    ///< for dense Jacobians
  std::unique_ptr<Windowed> windowed_;  ///< for approximate ones
};

}  // namespace deeppcr::nonlinear
