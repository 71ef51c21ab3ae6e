#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::models {

/// The elementwise function sigma of a layer. gelu is the exact form a Phi(a), not the tanh
/// approximation.
enum class Activation { identity, tanh, relu, silu, gelu };

/// y[i] = sigma(a[i]). y may be a. NaN gives NaN; infinities give the limit of sigma.
void activate(Activation activation, Index count, const Real* a, Real* y);

/// y[i] = sigma(a[i]), slope[i] = sigma'(a[i]). y or slope may be a, but not both. relu'(0) = 0.
void activate_with_slope(Activation activation, Index count, const Real* a, Real* y, Real* slope);

/// Both for one sigma: loops over short steps look them up once.
struct ActivationFunctions {
  void (*value)(Index count, const Real* a, Real* y);
  void (*with_slope)(Index count, const Real* a, Real* y, Real* slope);
};
ActivationFunctions activation_functions(Activation activation);

/// slope[i] = sigma'(a[i]) from y[i] = sigma(a[i]) alone. Returns false, and does nothing, where
/// the value does not tell the slope (silu, gelu).
bool slope_from_value(Activation activation, Index count, const Real* y, Real* slope);

/// "tanh" and so on, as the command line has it.
const char* name(Activation activation);
/// @throws Error that lists the known names
Activation activation_from(const std::string& name);

}  // namespace deeppcr::models
