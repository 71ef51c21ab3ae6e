#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr::linear {

class ShootingRun;

struct KspOutcome {
  int products = 0;  ///< of the operator with a vector
  bool converged = false;
};

/// GMRES for run.apply(x) = b. Options: -shooting_ksp_*.
///
/// Shapes: b, x [C_local, B, n]. Stops at |residual|_2 <= tolerance, or after `most` vectors.
/// Collective.
KspOutcome solve_boundary(ShootingRun& run, const Real* b, double tolerance, int most, Real* x);

}  // namespace deeppcr::linear
