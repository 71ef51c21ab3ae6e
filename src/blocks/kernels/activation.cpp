#include "deeppcr/blocks/activation.hpp"

#include <algorithm>

#include "blocks/kernels/sigma.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/core/work.hpp"

namespace deeppcr::blocks {

namespace {

using V = simd::Widest<Real>;
constexpr Index kLanes = simd::kWidest<Real>;

/// body(input, put) for registers of `count` reals, put(output, array). Of an exact sigma the rest
/// goes one by one, else it is padded to a register, so that every element goes through the same
/// instructions wherever it stands in an array.
template <bool kExact, typename Body>
void for_registers(Index count, const Real* a, Body&& body) {
  const Index whole = count - count % kLanes;
  for (Index i = 0; i < whole; i += kLanes)
    body(simd::load<V>(a + i), [i](const V& v, Real* out) { simd::store(v, out + i); });
  if constexpr (kExact) {
    for (Index i = whole; i < count; ++i) body(a[i], [i](Real v, Real* out) { out[i] = v; });
  } else if (whole < count) {
    Real lanes[kLanes] = {};
    std::copy_n(a + whole, count - whole, lanes);
    body(simd::load<V>(lanes), [&](const V& v, Real* out) {
      simd::store(v, lanes);
      std::copy_n(lanes, count - whole, out + whole);
    });
  }
}

template <typename Sigma>
void count_work(Index numbers) {
  Sigma::kExact ? count_elements(numbers) : count_functions(numbers);
}

template <typename Sigma>
void values(Index count, const Real* a, Real* y) {
  count_work<Sigma>(count);
  for_registers<Sigma::kExact>(count, a, [y](auto in, auto&& put) {
    auto kept = in;
    put(Sigma::value(in, kept), y);
  });
}

template <typename Sigma>
void values_and_slopes(Index count, const Real* a, Real* y, Real* slope) {
  count_work<Sigma>(count);
  for_registers<Sigma::kExact>(count, a, [=](auto in, auto&& put) {
    auto kept = in;
    const auto out = Sigma::value(in, kept);
    put(out, y);
    put(Sigma::slope(in, out, kept), slope);
  });
}

const Words<Activation> kWords{"activation",
                               {"identity", "tanh", "relu", "silu", "gelu", "sigmoid"}};

}  // namespace

void activate(Activation activation, Index count, const Real* a, Real* y) {
  sigma::with(activation, [=](auto chosen) { values<decltype(chosen)>(count, a, y); });
}

void activate_with_slope(Activation activation, Index count, const Real* a, Real* y, Real* slope) {
  sigma::with(activation,
              [=](auto chosen) { values_and_slopes<decltype(chosen)>(count, a, y, slope); });
}

template <typename T>
void add_silu(Index count, const T* a, T* h, T* slope) {
  using Register = simd::Widest<T>;
  count_functions(count);
  for (Index i = 0; i < count; i += simd::kWidest<T>) {
    Register kept;
    const auto in = simd::load<Register>(a + i), value = sigma::Silu::value(in, kept);
    simd::store(simd::load<Register>(h + i) + value, h + i);
    if (slope != nullptr) simd::store(sigma::Silu::slope(in, value, kept), slope + i);
  }
}

template void add_silu(Index count, const float* a, float* h, float* slope);
template void add_silu(Index count, const double* a, double* h, double* slope);

bool slope_from_value(Activation activation, Index count, const Real* y, Real* slope) {
  return sigma::with(activation, [=](auto chosen) {
    using Sigma = decltype(chosen);
    if constexpr (Sigma::kSlopeFromValue) {
      count_elements(count);
      for_registers<Sigma::kExact>(
          count, y, [=](auto value, auto&& put) { put(Sigma::slope(value, value, value), slope); });
    }
    return Sigma::kSlopeFromValue;
  });
}

const char* name(Activation activation) { return kWords.of(activation); }

Activation activation_from(const std::string& name) { return kWords.find(name); }

}  // namespace deeppcr::blocks
