#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::models {

/// The elementwise function sigma of a layer. gelu is the exact form a Phi(a), not the tanh
/// approximation.
enum class Activation { identity, tanh, relu, silu, gelu };

/// y[i] = sigma(a[i]). y may be a. NaN gives NaN; infinities give the limit of sigma.
void activate(Activation activation, Index count, const Real* a, Real* y);

/// activate() for one sigma: loops over short steps look it up once.
using ActivationFunction = void (*)(Index count, const Real* a, Real* y);
ActivationFunction activation_function(Activation activation);

/// y[i] = sigma(a[i]), slope[i] = sigma'(a[i]). y or slope may be a, but not both. relu'(0) = 0.
void activate_with_slope(Activation activation, Index count, const Real* a, Real* y, Real* slope);

/// slope[i] = sigma'(a[i]) from y[i] = sigma(a[i]) alone. Returns false, and does nothing, where
/// the value does not tell the slope (silu, gelu).
bool slope_from_value(Activation activation, Index count, const Real* y, Real* slope);

/// "tanh" and so on, as the command line has it.
const char* name(Activation activation);
/// @throws Error that lists the known names
Activation activation_from(const std::string& name);

}  // namespace deeppcr::models
