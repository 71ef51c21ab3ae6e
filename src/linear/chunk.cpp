#include "deeppcr/linear/chunk.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace deeppcr::linear {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Largest |value(i)|; infinite where one is NaN. In lanes, which become vectors.
template <typename Value>
double largest_of(Index count, Value&& value) {
  constexpr Index kLanes = 8;
  double most[kLanes] = {}, nan_probe[kLanes] = {};
  const auto look = [&](Index i, Index lane) {
    const double x = value(i);
    most[lane] = std::max(most[lane], std::abs(x));
    nan_probe[lane] += x * 0.0;
  };
  const Index whole = count - count % kLanes;
  for (Index i = 0; i < whole; i += kLanes)
    for (Index lane = 0; lane < kLanes; ++lane) look(i + lane, lane);
  for (Index i = whole; i < count; ++i) look(i, 0);
  const double probes = std::accumulate(nan_probe, nan_probe + kLanes, 0.0);
  return probes == 0.0 ? *std::max_element(most, most + kLanes) : kInfinity;
}

}  // namespace

double largest(Index count, const Real* x) {
  return largest_of(count, [=](Index i) { return x[i]; });
}

double length(Index count, const Real* x) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += x[i] * x[i];
  return std::sqrt(sum);
}

double largest_difference(Index count, const Real* a, const Real* b) {
  return largest_of(count, [=](Index i) { return a[i] - b[i]; });
}

void Chunk::merged(Index block, double size) {
  seams.erase(std::remove_if(seams.begin(), seams.end(),
                             [&](const Seam& seam) { return seam.block <= block; }),
              seams.end());
  if (size > 0) seams.push_back({block, size});
}

double Chunk::exit_after(Index block) const {
  if (growth.empty()) return -kInfinity;
  return growth.back() - (block < 0 ? 0.0 : growth[static_cast<std::size_t>(block)]);
}

double Chunk::peak_after(Index block) const {
  if (growth.empty()) return -kInfinity;
  const auto first = growth.begin() + std::max<Index>(block, 0);
  const double peak = *std::max_element(first, growth.end());
  return block < 0 ? std::max(peak, 0.0) : peak - *first;
}

double Chunk::rise_after(Index block) const {
  double lowest = block < 0 ? 0.0 : kInfinity, rise = 0;
  for (auto i = static_cast<std::size_t>(std::max<Index>(block, 0)); i < growth.size(); ++i) {
    lowest = std::min(lowest, growth[i]);
    rise = std::max(rise, growth[i] - lowest);
  }
  return rise;
}

double Chunk::exit_rise_after(Index block) const {
  if (growth.empty()) return 0;
  const auto first = growth.begin() + std::max<Index>(block, 0);
  const double lowest = *std::min_element(first, growth.end());
  return growth.back() - (block < 0 ? std::min(lowest, 0.0) : lowest);
}

}  // namespace deeppcr::linear
