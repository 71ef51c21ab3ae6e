#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// The elementwise function sigma of a layer. gelu is the exact form a Phi(a), not the tanh
/// approximation.
enum class Activation { identity, tanh, relu, silu, gelu, sigmoid };

/// y[i] = sigma(a[i]). y may be a. NaN gives NaN; infinities give the limit of sigma.
void activate(Activation activation, Index count, const Real* a, Real* y);

/// y[i] = sigma(a[i]), slope[i] = sigma'(a[i]). y or slope may be a, but not both. relu'(0) = 0.
void activate_with_slope(Activation activation, Index count, const Real* a, Real* y, Real* slope);

/// slope[i] = sigma'(a[i]) from y[i] = sigma(a[i]) alone. Returns false, and does nothing, where
/// the value does not tell the slope (silu, gelu).
bool slope_from_value(Activation activation, Index count, const Real* y, Real* slope);

/// h[i] += silu(a[i]), and slope[i] = silu'(a[i]) unless slope is null, for float or double. The
/// arrays do not overlap. @pre count fills whole registers, as PackedMatrix's padded rows do
template <typename T>
void add_silu(Index count, const T* a, T* h, T* slope);

extern template void add_silu(Index count, const float* a, float* h, float* slope);
extern template void add_silu(Index count, const double* a, double* h, double* slope);

/// Steps of one layer with a bias for one sample, one after another: y = sigma(W z + b), or z + h
/// sigma(W z + b). A step's parameters, W then b, lie behind those of the one before. Shapes: z,
/// tangent [n], states [steps, n].
struct LayerSteps {
  const Real* theta;
  Index steps;
  const Real* z;
  Real* states;
  Real scale;     ///< h
  Real* tangent;  ///< <- A_l tangent at each step
};

/// A narrow step takes some nanoseconds, so that calls with arrays between them count: product,
/// activation and what follows are one kernel, compiled for a width and an activation. Around a
/// call of tanh, exp or erf registers are saved on the stack. States have the bits of Product and
/// activate().
struct LayerStepsKernels {
  void (*run)(const LayerSteps& s) = nullptr;
  void (*run_with_tangent)(const LayerSteps& s) = nullptr;
};
/// Null for widths that are not 1, 2, 4 or 8 registers. far: the parameters come from memory, not
/// from a cache near the core.
LayerStepsKernels layer_steps(int width, Activation activation, bool skip, bool far);

/// "tanh" and so on, as the command line has it.
const char* name(Activation activation);
/// @throws Error that lists the known names
Activation activation_from(const std::string& name);

}  // namespace deeppcr::blocks
