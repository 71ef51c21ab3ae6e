#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/types.hpp"

namespace deeppcr::plan {

// How ranks share an update of training.

/// The ranks of a training run: the steps are split over `depth` of them, the samples of a batch
/// over `data`.
struct Grid {
  int depth = 1;
  int data = 1;
};

/// One way to do an update: a grid and the methods of its two passes.
struct Way {
  Grid grid;
  std::string method;     ///< words for the sentence, such as "--nonlinear newton"
  bool in_a_row = false;  ///< whether its ranks in depth wait for each other
  double cost = 0;        ///< by the formulas, in any unit that all ways share
  std::size_t key = 0;    ///< what the caller knows it by
};

/// The decision how ranks share an update, and why.
struct Sharing {
  Way way;
  /// A sentence on what it was chosen from; empty where nothing was open.
  std::string choice;
  /// A sentence where another way would be faster by the formulas; else empty.
  std::string advice;
};

/// All grids of so many ranks that fit what is wanted (0: open) and leave each data rank a sample.
/// @throws Error when that does not fit the ranks or the batch
std::vector<Grid> possible_grids(Grid wanted, int ranks, long long batch);

/// The cheapest of the ways that are asked for; the advice compares with all that are possible.
/// @pre asked is not empty
Sharing choose_sharing(const std::vector<Way>& asked, const std::vector<Way>& possible);

// How a sampler goes through its steps.

/// What has been measured of a sampler, and what is asked of it.
struct SamplingProblem {
  Index steps = 0;
  Index window = 0;  ///< steps swept together; 0: all
  double tolerance = 0;
  double eta = 0;               ///< of the sampler
  double seconds_of_step = 0;   ///< one step by itself
  double seconds_of_sweep = 0;  ///< one sweep over a full window
  double evaluations = 0;       ///< of each step, as tried; 0: as own denoisers take
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
