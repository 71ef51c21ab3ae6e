#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::plan {

/// What has been measured of a sampler, and what is asked of it.
struct SamplingProblem {
  Index steps = 0;
  Index window = 0;  ///< steps swept together; 0: all
  double tolerance = 0;
  double eta = 0;               ///< of the sampler
  double seconds_of_step = 0;   ///< one step by itself
  double seconds_of_sweep = 0;  ///< one sweep over a full window
};

/// Whether sweeps over windows promise to be faster than one step after another, and why.
struct SamplingChoice {
  bool sweeps = true;
  std::string why;
};
SamplingChoice choose_sampling(const SamplingProblem& problem);

/// The window that fills the cores of so many ranks: 24 rows of a batch each, at which a network
/// runs near its best, and 4 steps at least.
Index filling_window(int ranks, Index samples);

}  // namespace deeppcr::plan
