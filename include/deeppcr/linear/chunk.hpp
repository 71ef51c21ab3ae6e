#pragma once

#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::linear {

/// Where the states of a chunk stop being those of its start: the state at the end of a block is
/// kept from an older sweep, `size` away from what the newest one came to.
struct Seam {
  Index block = 0;
  double size = 0;
};

/// One chunk of this rank and what its sweeps have found.
struct Chunk {
  /// Steps between two looks at a sweep: whether it has merged, how the tangent has grown.
  static constexpr Index kBlock = 32;

  StepRange steps;             ///< global
  Index done = 0;              ///< leading steps that hold states of a sweep
  Index swept = 0;             ///< steps evaluated in the last sweep
  double scale = 0;            ///< largest |z| at the ends of blocks; infinite where there is a NaN
  std::vector<double> growth;  ///< log |tangent| at the ends of blocks, 0 at the chunk's start
  std::vector<Seam> seams;
  double drift = 0;  ///< |M t - t| / |t| of the tangent t over what has been swept

  /// The newest sweep has run into older states at the end of `block`, `size` away from them.
  void merged(Index block, double size);

  bool complete() const { return done == steps.size(); }
  /// log of the most that a change at the end of `block` becomes within the chunk, and at its end;
  /// block -1 is the chunk's start. -infinity where no tangent went: the states are exact there.
  double peak_after(Index block) const;
  double exit_after(Index block) const;
  /// log of the most that rounding anywhere behind `block` becomes within the chunk, and at its
  /// end.
  double rise_after(Index block) const;
  double exit_rise_after(Index block) const;
};

/// max |x|, max |a - b|; NaN gives infinity.
double largest(Index count, const Real* x);
double largest_difference(Index count, const Real* a, const Real* b);
/// |x|_2.
double length(Index count, const Real* x);

}  // namespace deeppcr::linear
