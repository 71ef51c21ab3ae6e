#pragma once

#include <petscksp.h>

#include "deeppcr/core/types.hpp"
#include "deeppcr/petsc/handle.hpp"

namespace deeppcr::linear {

class ShootingRun;

struct KspOutcome {
  int products = 0;  ///< of the operator with a vector
  bool converged = false;
};

/// GMRES for the carries between the chunks of a linear chain, preconditioned from the right by
/// prefix sums, so that its residual is the mismatch at the seams. Options: -shooting_ksp_*.
class BoundaryKsp {
 public:
  explicit BoundaryKsp(ShootingRun& run);
  /// Shapes: b, x [C_local, B, n]. Stops at |residual|_2 <= tolerance, or after `most` vectors.
  /// Collective.
  KspOutcome solve(const Real* b, double tolerance, int most, Real* x);

  /// What the KSP calls back.
  ShootingRun& run() { return run_; }
  void count_product() { ++products_; }

 private:
  ShootingRun& run_;
  petsc::Handle<Mat> operator_;
  petsc::Handle<KSP> ksp_;
  petsc::Handle<Vec> b_, x_;
  int products_ = 0;
};

}  // namespace deeppcr::linear
