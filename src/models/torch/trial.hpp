#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

/// What the trials of modules have in common.
namespace deeppcr::models::trial {

constexpr Index kSamples = 3;
/// Batched and single evaluation were seen to differ by up to 20 roundings; a module that mixes
/// samples differs by far more.
constexpr double kRoundings = 1e4;
/// Kinks such as relu's are stepped over by a difference here and there.
constexpr double kDifference = 0.1;

inline Buffer<Real> normal(Index count, std::uint64_t stream) {
  Buffer<Real> x(count);
  constexpr std::uint64_t kSeed = 1;
  RandomStream(kSeed, stream).normal(0, count, x.data());
  return x;
}

/// x + h v
inline Buffer<Real> moved(const Buffer<Real>& x, double h, const Buffer<Real>& v) {
  Buffer<Real> to(x.size());
  for (Index i = 0; i < x.size(); ++i) to[i] = x[i] + h * v[i];
  return to;
}

/// A step h at which truncation and rounding of a central difference are alike.
inline double difference_step(double rounding) { return std::cbrt(rounding); }

inline double dot(const Buffer<Real>& a, const Buffer<Real>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
inline double norm(const Buffer<Real>& a) { return std::sqrt(dot(a, a)); }

inline bool finite(const Buffer<Real>& x) {
  return std::all_of(x.begin(), x.end(), [](Real one) { return std::isfinite(one); });
}

/// Whether found [count] is not what is expected, up to kRoundings of the largest number.
inline bool differs(const Buffer<Real>& found, const Real* expected, double rounding) {
  const double size = std::max(blocks::largest(found.size(), expected), 1e-300);
  const double most = blocks::largest_difference(found.size(), found.data(), expected);
  return !(most <= kRoundings * rounding * size);
}

}  // namespace deeppcr::models::trial
