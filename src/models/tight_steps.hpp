#pragma once

#include "deeppcr/blocks/gemv.hpp"
#include "deeppcr/models/layered_chain.hpp"

namespace deeppcr::models {

/// Steps of one layer with a bias for one sample, one after another; a step's parameters lie behind
/// those of the one before. Shapes: z [n], states [steps, n].
struct TightSteps {
  const Real* theta;
  Index steps;
  const Real* z;
  Real* states;
  Real scale;  ///< h of z + h g(z)
};

/// A narrow step takes some nanoseconds, so that a call or a detour through memory counts: product,
/// activation and what follows are one kernel, compiled for a width and an activation, and what
/// goes from one to the other stays in registers.
struct TightKernels {
  void (*run)(const TightSteps& s) = nullptr;
  /// The same, with the same bits, and tangent [n] <- A_l tangent at each step.
  void (*run_with_tangent)(const TightSteps& s, Real* tangent) = nullptr;
};

/// For widths whose sums fill and fit the build's registers.
bool has_tight_kernels(int width);
/// Null for other widths and shapes.
TightKernels tight_kernels(const StepShape& shape, blocks::BlocksFrom weights);

}  // namespace deeppcr::models
