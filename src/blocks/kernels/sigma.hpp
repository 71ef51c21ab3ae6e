#pragma once

#include "blocks/kernels/vector_math.hpp"
#include "deeppcr/blocks/activation.hpp"

/// The activations on registers: one form for whole arrays (activation.cpp) and for kernels that
/// have a layer's values in registers already, so that both give the same bits.
namespace deeppcr::blocks::sigma {

/// NaN stays NaN.
template <typename V>
V at_least(V a, Real low) {
  return a < simd::all<V>(low) ? simd::all<V>(low) : a;
}
template <typename V>
V at_most(V a, Real high) {
  return a > simd::all<V>(high) ? simd::all<V>(high) : a;
}

// Each has value(a, kept) = sigma(a), which leaves in `kept` what slope(a, value, kept) = sigma'(a)
// then need not compute again, and says whether slope(value, value, value) is sigma'(a) as well.
// They take registers; those that round nothing are exact and take single numbers too, with the
// same bits.

struct Identity {
  static constexpr bool kSlopeFromValue = true, kExact = true;
  template <typename V>
  static V value(V a, V&) {
    return a;
  }
  template <typename V>
  static V slope(V a, V, V) {
    return a != a ? a : simd::all<V>(1);
  }
};

struct Tanh {
  static constexpr bool kSlopeFromValue = true, kExact = false;
  template <typename V>
  static V value(V a, V&) {
    return tanh(a);
  }
  // tanh' = 1 - tanh^2
  template <typename V>
  static V slope(V, V value, V) {
    return 1 - value * value;
  }
};

struct Relu {
  static constexpr bool kSlopeFromValue = true, kExact = true;
  template <typename V>
  static V value(V a, V&) {
    return at_least(a, 0);
  }
  template <typename V>
  static V slope(V a, V, V) {
    const V zero = simd::all<V>(0), step = a > zero ? simd::all<V>(1) : zero;
    return a != a ? a : step;
  }
};

struct Silu {
  static constexpr bool kSlopeFromValue = false, kExact = false;
  /// Beyond it sigma and sigma' are at their limits to the last bit; it keeps infinity times zero
  /// out. So does Gelu's.
  static constexpr Real kBound = 800;
  template <typename V>
  static V bounded(V a) {
    return at_most(at_least(a, -kBound), kBound);
  }
  // a / d, d = 1 + exp(-a)
  template <typename V>
  static V value(V a, V& d) {
    d = 1 + exp(-bounded(a));
    return at_least(a, -kBound) / d;
  }
  // p + a p (1 - p), p = 1 / d
  template <typename V>
  static V slope(V a, V, V d) {
    const V p = 1 / d;
    return p + bounded(a) * p * (1 - p);
  }
};

struct Gelu {
  static constexpr bool kSlopeFromValue = false, kExact = false;
  static constexpr Real kBound = 40;
  static constexpr Real kInverseSqrt2 = 0.70710678118654752440;
  static constexpr Real kInverseSqrt2Pi = 0.39894228040143267794;
  // a Phi(a), Phi(a) = (1 + erf(a / sqrt 2)) / 2
  template <typename V>
  static V value(V a, V& phi) {
    const V t = at_least(a, -kBound);
    phi = 0.5 * (1 + erf(t * kInverseSqrt2));
    return t * phi;
  }
  // Phi(a) + a exp(-a^2 / 2) / sqrt(2 pi)
  template <typename V>
  static V slope(V a, V, V phi) {
    const V t = at_most(at_least(a, -kBound), kBound);
    return phi + t * kInverseSqrt2Pi * exp(-0.5 * t * t);
  }
};

struct Sigmoid {
  static constexpr bool kSlopeFromValue = true, kExact = false;
  // 1 / (1 + exp(-a))
  template <typename V>
  static V value(V a, V&) {
    return 1 / (1 + exp(-a));
  }
  // sigmoid' = sigmoid (1 - sigmoid)
  template <typename V>
  static V slope(V, V value, V) {
    return value * (1 - value);
  }
};

/// body(Sigma{}) for the one that is meant.
template <typename Body>
auto with(Activation activation, Body&& body) {
  switch (activation) {
    case Activation::identity:
      return body(Identity{});
    case Activation::tanh:
      return body(Tanh{});
    case Activation::relu:
      return body(Relu{});
    case Activation::silu:
      return body(Silu{});
    case Activation::gelu:
      return body(Gelu{});
    case Activation::sigmoid:
      break;
  }
  return body(Sigmoid{});
}

}  // namespace deeppcr::blocks::sigma
