#include "deeppcr/models/activation.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "deeppcr/core/error.hpp"

#ifdef DEEPPCR_HAVE_LIBMVEC
// The vector forms of glibc's libmvec (at most 4 ulp), without -ffast-math. The attribute is what
// <math.h> adds there.
extern "C" {
__attribute__((simd("notinbranch"))) double tanh(double) noexcept;
__attribute__((simd("notinbranch"))) double exp(double) noexcept;
__attribute__((simd("notinbranch"))) double erf(double) noexcept;
}
#endif

namespace deeppcr::models {

namespace {

constexpr Real kInverseSqrt2 = 0.70710678118654752440;
constexpr Real kInverseSqrt2Pi = 0.39894228040143267794;
/// Beyond these bounds sigma and sigma' are at their limits to the last bit; they keep infinity
/// times zero out.
constexpr Real kSiluBound = 800;
constexpr Real kGeluBound = 40;

/// NaN stays NaN.
inline Real at_least(Real a, Real low) { return a < low ? low : a; }
inline Real at_most(Real a, Real high) { return a > high ? high : a; }

struct Identity {
  static constexpr bool kExact = true;  ///< no rounding: vector and scalar form agree
  static Real value(Real a) { return a; }
  static Real slope(Real a, Real) { return a != a ? a : 1; }
};

struct Tanh {
  static constexpr bool kExact = false;
  static Real value(Real a) { return tanh(a); }
  // tanh' = 1 - tanh^2
  static Real slope(Real, Real y) { return 1 - y * y; }
};

struct Relu {
  static constexpr bool kExact = true;
  static Real value(Real a) { return at_least(a, 0); }
  static Real slope(Real a, Real) {
    const Real step = a > 0 ? 1 : 0;
    return a != a ? a : step;
  }
};

struct Silu {
  static constexpr bool kExact = false;
  static Real bounded(Real a) { return at_most(at_least(a, -kSiluBound), kSiluBound); }
  // a / (1 + exp(-a))
  static Real value(Real a) { return at_least(a, -kSiluBound) / (1 + exp(-bounded(a))); }
  // p + a p (1 - p), p = 1 / (1 + exp(-a))
  static Real slope(Real a, Real) {
    const Real t = bounded(a), p = 1 / (1 + exp(-t));
    return p + t * p * (1 - p);
  }
};

struct Gelu {
  static constexpr bool kExact = false;
  // a Phi(a), Phi(a) = (1 + erf(a / sqrt 2)) / 2
  static Real value(Real a) {
    const Real t = at_least(a, -kGeluBound);
    return t * (0.5 * (1 + erf(t * kInverseSqrt2)));
  }
  // Phi(a) + a exp(-a^2 / 2) / sqrt(2 pi)
  static Real slope(Real a, Real) {
    const Real t = at_most(at_least(a, -kGeluBound), kGeluBound);
    return 0.5 * (1 + erf(t * kInverseSqrt2)) + t * kInverseSqrt2Pi * exp(-0.5 * t * t);
  }
};

/// The loops handle whole groups of this many elements, the longest vector there is. A shorter rest
/// is padded to one, so that every element goes through the same instructions wherever it stands in
/// an array.
constexpr Index kLanes = 8;

// noinline: with a known count GCC would unroll the loop before it could become vector code. ivdep:
// y may be a.
template <typename Sigma>
__attribute__((noinline)) void value_groups(Index groups, const Real* a, Real* y) {
#pragma GCC ivdep
  for (Index i = 0; i < groups * kLanes; ++i) y[i] = Sigma::value(a[i]);
}

template <typename Sigma>
__attribute__((noinline)) void slope_groups(Index groups, const Real* a, Real* y, Real* slope) {
#pragma GCC ivdep
  for (Index i = 0; i < groups * kLanes; ++i) {
    const Real in = a[i];
    const Real out = Sigma::value(in);
    y[i] = out;
    slope[i] = Sigma::slope(in, out);
  }
}

template <typename Sigma>
void apply(Index count, const Real* a, Real* y) {
  const Index rest = count % kLanes, whole = count - rest;
  if (whole > 0) value_groups<Sigma>(whole / kLanes, a, y);
  if (rest == 0) return;
  if constexpr (Sigma::kExact) {
    for (Index i = whole; i < count; ++i) y[i] = Sigma::value(a[i]);
  } else {
    std::array<Real, kLanes> lanes{};
    std::copy_n(a + whole, rest, lanes.data());
    value_groups<Sigma>(1, lanes.data(), lanes.data());
    std::copy_n(lanes.data(), rest, y + whole);
  }
}

template <typename Sigma>
void apply_with_slope(Index count, const Real* a, Real* y, Real* slope) {
  const Index rest = count % kLanes, whole = count - rest;
  if (whole > 0) slope_groups<Sigma>(whole / kLanes, a, y, slope);
  if (rest == 0) return;
  std::array<Real, kLanes> lanes{}, slopes;
  std::copy_n(a + whole, rest, lanes.data());
  slope_groups<Sigma>(1, lanes.data(), lanes.data(), slopes.data());
  std::copy_n(lanes.data(), rest, y + whole);
  std::copy_n(slopes.data(), rest, slope + whole);
}

struct Entry {
  Activation activation;
  const char* name;
  ActivationFunctions functions;
};

constexpr Entry kEntries[] = {
    {Activation::identity, "identity", {apply<Identity>, apply_with_slope<Identity>}},
    {Activation::tanh, "tanh", {apply<Tanh>, apply_with_slope<Tanh>}},
    {Activation::relu, "relu", {apply<Relu>, apply_with_slope<Relu>}},
    {Activation::silu, "silu", {apply<Silu>, apply_with_slope<Silu>}},
    {Activation::gelu, "gelu", {apply<Gelu>, apply_with_slope<Gelu>}},
};

const Entry& entry(Activation activation) { return kEntries[static_cast<int>(activation)]; }

}  // namespace

void activate(Activation activation, Index count, const Real* a, Real* y) {
  entry(activation).functions.value(count, a, y);
}

void activate_with_slope(Activation activation, Index count, const Real* a, Real* y, Real* slope) {
  entry(activation).functions.with_slope(count, a, y, slope);
}

ActivationFunctions activation_functions(Activation activation) {
  return entry(activation).functions;
}

bool slope_from_value(Activation activation, Index count, const Real* y, Real* slope) {
  if (activation == Activation::silu || activation == Activation::gelu) return false;
  if (activation == Activation::tanh) {
#pragma GCC ivdep
    for (Index i = 0; i < count; ++i) slope[i] = Tanh::slope(0, y[i]);
  } else if (activation == Activation::relu) {
#pragma GCC ivdep
    for (Index i = 0; i < count; ++i) slope[i] = Relu::slope(y[i], y[i]);
  } else {
    for (Index i = 0; i < count; ++i) slope[i] = Identity::slope(y[i], y[i]);
  }
  return true;
}

const char* name(Activation activation) { return entry(activation).name; }

Activation activation_from(const std::string& name) {
  for (const Entry& e : kEntries) {
    if (name == e.name) return e.activation;
  }
  throw input_error("unknown activation '{}': known are identity, tanh, relu, silu, gelu", name);
}

}  // namespace deeppcr::models
