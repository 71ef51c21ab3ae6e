#pragma once

#include <array>
#include <cstdint>

#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// Random numbers by position: value i of a stream depends on (seed, stream, i) only, so that every
/// rank can draw just its part and the run does not depend on the number of ranks. Counter-based
/// generator Philox4x32-10.
///
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  /// Uniform on [0, 1), 53 bits.
  double uniform(Index i) const;
  /// Standard normal (Box-Muller).
  double normal(Index i) const;
  /// Uniform on 0..bound-1. @pre bound > 0
  Index integer(Index i, Index bound) const;

  /// Fills out[0..count) with values first, first + 1, ...
  void uniform(Index first, Index count, double* out) const;
  void normal(Index first, Index count, double* out) const;

 private:
  std::array<std::uint32_t, 4> draw(std::uint64_t counter) const;

  std::uint64_t seed_;
  std::uint64_t stream_;
};

}  // namespace deeppcr
