#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

/// What stands for the Jacobian M_c of a whole chunk when the error of its start is passed on.
enum class Coupling {
  zero,         ///< none: each chunk starts from where its left neighbour ended (Song et al.)
  identity,     ///< M = I: a prefix sum of the mismatches
  first_order,  ///< M = I + sum_l (A_l - I)
  dense,        ///< M = A_last .. A_first: multiple shooting, Newton's method on the chunk ends
  automatic     ///< the cheapest by the contraction measured on the first steps of each chunk
};
/// "zero", "identity", "first-order", "dense", "auto".
const Words<Coupling>& couplings();

struct ShootingOptions {
  Coupling coupling = Coupling::automatic;
  std::string accelerate = "none";  ///< or the SNES on the chunk starts: "anderson", "ngmres"
  Index chunks = 0;                 ///< 0: one a rank
  Tolerance tolerance;
  int max_iterations = 0;  ///< 0: as many as there are chunks, after which the states are exact
  bool fallback = true;    ///< end by sequential substitution where the sweeps do not converge
  /// What automatic takes in place of sequential execution, which has its bits; must outlive
  /// whoever has these options. Null: nothing.
  Solver* wavefront = nullptr;
  bool newton = false;  ///< automatic may choose Newton too
  NewtonOptions newton_options;
};

/// Multiple shooting: the chain is cut into chunks, the unknowns are the states between them, and
/// all chunks are swept at once, each one step after another.
///
/// Each sweep costs 2 B n^2 flops a step, as sequential execution does; a sweep after the first
/// ends where it runs into the states of the one before it. Behind its first state a swept chunk
/// has no residual at all, so the residual is known from the seams. What a seam grows to further on
/// is measured by a tangent of one sample that each sweep of a chunk pushes along, at 0.03 to 0.4
/// of a step; where chunks are shorter than 64 steps by a look along the whole trajectory, at one
/// linearised evaluation (conclusion.hpp). States are only called right when that is within the
/// tolerance too, else sequential execution decides.
///
/// Source: Song et al., arXiv 2002.03629 (Jacobi, Gauss-Seidel and their hybrids are zero coupling
/// with L, 1 and C chunks); multiple shooting as in Keller, 1968.
class Shooting final : public Solver {
 public:
  explicit Shooting(ShootingOptions options) : options_(std::move(options)) {}

  /// Works with any layout.
  /// Cost: L/C step evaluations a sweep on the longest path; one message of B n reals a rank and
  /// sweep, and what the coupling sends.
  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;

  /// Rank 0 has nothing to correct and pushes no tangent, and nothing to walk backward where the
  /// gradient dies out, so it gets more steps.
  parallel::BlockLayout layout(const Problem& problem) const override;
  Cost cost(const Problem& problem, const Effort& effort) const override;
  double memory(const Problem& problem) const override;
  double largest_message(const Problem& problem) const override;
  Index most_iterations(const Problem& problem) const override;
  std::vector<std::string> stages() const override { return {"sweep", "couple"}; }

 private:
  ShootingOptions options_;
};

}  // namespace deeppcr::nonlinear
