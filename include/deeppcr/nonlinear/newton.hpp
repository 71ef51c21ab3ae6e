#pragma once

#include <memory>
#include <string>

#include "deeppcr/nonlinear/conclusion.hpp"
#include "deeppcr/nonlinear/solver.hpp"

namespace deeppcr::nonlinear {

class NewtonSnes;

struct NewtonOptions {
  std::string linear = "hybrid";  ///< a name from linear::catalogue()
  Tolerance tolerance;
  int max_iterations = 50;
  bool fallback = true;  ///< end by sequential substitution where Newton does not converge
};

/// Newton's method on all steps at once, as PETSc's SNES: prefix "", so -snes_*, -ksp_* and -pc_*
/// of the option data base apply. The linear solver is KSPPREONLY with the PC "deeppcr" unless
/// those options put another in its place.
///
/// Ends where the residual with what it grows to is within the tolerance; see conclusion.hpp.
/// Source: DeepPCR, arXiv 2309.16318, sec. 3; the prefix argument: after k iterations the first k
/// states are exact.
class Newton final : public Solver {
 public:
  explicit Newton(NewtonOptions options);
  ~Newton() override;

  SolveReport solve(const sequence::Sequence& chain, sequence::Trajectory& states,
                    const Monitors& monitors = {}) override;
  parallel::BlockLayout layout(const Problem& problem) const override;
  Cost cost(const Problem& problem, const Effort& effort) const override;
  double memory(const Problem& problem) const override;
  double largest_message(const Problem& problem) const override;
  Index most_iterations(const Problem&) const override { return options_.max_iterations; }
  std::vector<std::string> stages() const override;
  bool is_petsc() const override { return true; }

 private:
  NewtonOptions options_;
  std::unique_ptr<NewtonSnes> snes_;
};

}  // namespace deeppcr::nonlinear
