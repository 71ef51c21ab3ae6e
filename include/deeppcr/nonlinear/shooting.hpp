#pragma once

#include <string>
#include <vector>

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::nonlinear {

/// What stands for the Jacobian M_c of a whole chunk when the error of its start is passed on.
enum class Coupling {
  zero,         ///< none: each chunk starts from where its left neighbour ended (Song et al.)
  identity,     ///< M = I: a prefix sum of the mismatches
  first_order,  ///< M = I + sum_l (A_l - I)
  dense,        ///< M = A_last .. A_first: multiple shooting, Newton's method on the chunk ends
  automatic     ///< the cheapest by the contraction measured on the first steps of each chunk
};
const char* to_string(Coupling coupling);
/// "zero", "identity", "first-order", "dense", "auto". @throws Error that lists the known names
Coupling coupling_from(const std::string& name);
const std::vector<std::string>& coupling_names();

/// What PETSc does to the iteration over the chunk ends.
enum class Acceleration { none, anderson, ngmres };
/// "none", "anderson", "ngmres". @throws Error that lists the known names
Acceleration acceleration_from(const std::string& name);
const std::vector<std::string>& acceleration_names();

struct ShootingOptions {
  Coupling coupling = Coupling::automatic;
  Acceleration acceleration = Acceleration::none;
  Index chunks = 0;  ///< 0: one a rank
  double rtol = 1e-10;
  double atol = 0;
  int max_sweeps = 0;    ///< 0: as many as there are chunks, after which the states are exact
  bool fallback = true;  ///< end by sequential substitution where the sweeps do not converge
  bool newton = false;   ///< automatic may choose Newton too
  NewtonOptions newton_options;
};

/// Multiple shooting: the chain is cut into chunks, the unknowns are the states between them, and
/// all chunks are swept at once, each one step after another.
///
/// Each sweep costs 2 B n^2 flops a step, as sequential execution does; a sweep after the first
/// ends where it runs into the states of the one before it. Behind its first state a swept chunk
/// has no residual at all, so the residual is known from the seams. What a seam grows to further on
/// is estimated by a tangent that the first sweep pushes along; states are only called right when
/// that is within the tolerance too, else sequential substitution decides.
///
/// Source: Song et al., arXiv 2002.03629 (Jacobi, Gauss-Seidel and their hybrids are zero coupling
/// with L, 1 and C chunks); multiple shooting as in Keller, 1968.
class Shooting {
 public:
  Shooting(const parallel::Communicator& comm, const sequence::Sequence& sequence,
           ShootingOptions options);

  struct StateSize {
    Index batch = 1;
    int width = 1;
    /// What pushing a tangent along takes of a step of one sample, as models::tangent_share() has
    /// it.
    double tangent = 0.1;
  };
  /// The steps of each rank that suit sweeps: rank 0 has nothing to correct and pushes no tangent,
  /// and nothing to walk backward where the gradient dies out, so it gets more.
  static parallel::BlockLayout layout(Index num_steps, int num_ranks, Index chunks, StateSize state,
                                      linear::Passes passes = linear::Passes::forward);

  /// Starts from the states between the chunks in trajectory, leaves the solution there. Numerical
  /// failure is a status, not an exception. Works with any layout. Collective.
  /// Cost: L/C step evaluations a sweep on the longest path; one message of B n reals a rank and
  /// sweep, and what the coupling sends.
  SolveReport solve(sequence::Trajectory& trajectory, Monitor* monitor = nullptr);

 private:
  const parallel::Communicator& comm_;
  const sequence::Sequence& sequence_;
  ShootingOptions options_;
};

}  // namespace deeppcr::nonlinear
