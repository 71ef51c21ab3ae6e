#pragma once

#include <string>

#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::train {

/// The size of a training run as far as the choice depends on it.
struct TrainingProblem {
  Index steps = 0;
  Index batch = 1;  ///< of the whole grid
  int width = 1;
  double layers = 1;  ///< products [n x n] in a step, one after another
};

/// What the user asks for; 0 and "auto" are left to the cost formulas. The linear solver of a
/// forward solver that is left open is open too.
struct WantedSharing {
  int depth_ranks = 0;
  int data_ranks = 0;
  PassMethods methods = {"auto", {}, "auto"};
};

/// The decision how ranks share an update, and why.
struct Sharing {
  int depth_ranks = 1;
  int data_ranks = 1;
  PassMethods methods;
  /// A sentence on what it was chosen from; empty where the user left nothing open.
  std::string choice;
  /// A sentence where another choice would be faster by the formulas; else empty.
  std::string advice;

  nonlinear::Problem problem(const TrainingProblem& training) const;
  std::unique_ptr<nonlinear::Solver> forward() const;
};

/// Fills in what the user has left open: plan::choose_sharing() of all ways by the cost formulas,
/// with the measured ratio of products. Where that is sequential execution over several depth
/// ranks, the forward pass looks at the chain in each update and takes a faster way if there is one
/// ("auto").
/// @throws Error when the grid does not fit the ranks or the batch
Sharing choose_sharing(const TrainingProblem& training, const WantedSharing& wanted, int ranks);

}  // namespace deeppcr::train
