#pragma once

#include "deeppcr/blocks/gemv.hpp"
#include "models/layered_chain.hpp"

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

/// A narrow step takes some nanoseconds, so that calls with arrays between them count: product,
/// activation and what follows are one kernel, compiled for a width and an activation. Around a
/// call of tanh, exp or erf registers are saved on the stack.
struct TightKernels {
  void (*run)(const TightSteps& s) = nullptr;
  /// The same, with the same bits, and tangent [n] <- A_l tangent at each step.
  void (*run_with_tangent)(const TightSteps& s, Real* tangent) = nullptr;
  bool one_pass = false;  ///< .. for which a block is read once
};

/// Null for other shapes, and for widths other than powers of two from a register's up to those of
/// blocks::with_register_width().
TightKernels tight_kernels(const StepShape& shape, blocks::BlocksFrom weights);

}  // namespace deeppcr::models
