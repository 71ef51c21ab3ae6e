#pragma once

#include <string>

#include "deeppcr/app/train_config.hpp"

namespace deeppcr::app {

/// What one update costs by the formulas, as times in one unit: the floating-point operations of a
/// product with B columns on one rank.
struct PassCosts {
  double forward = 0;
  double backward = 0;
  double total() const { return forward + backward; }
};

/// The decision how ranks share an update, and why.
struct Sharing {
  int depth_ranks = 1;
  int data_ranks = 1;
  train::ChainSolverOptions solver;  ///< nothing is "auto" any more
  /// A sentence where another choice would be faster by the formulas; else empty.
  std::string advice;
};

/// Fills in what the user has left open: the cheapest by the cost formulas of `linear` with the
/// measured ratio of products. The only place that chooses.
/// @throws Error when the grid does not fit the ranks or the batch
Sharing choose_sharing(const TrainConfig& config, int ranks);

/// Cost of one update on such a grid. `sharing.solver` has no "auto".
PassCosts update_cost(const TrainConfig& config, const Sharing& sharing);

}  // namespace deeppcr::app
