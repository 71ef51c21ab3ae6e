#pragma once

#include <string>

#include "deeppcr/nonlinear/catalogue.hpp"

namespace deeppcr::train {

/// The size of a training run as far as the choice depends on it.
struct TrainingProblem {
  Index steps = 0;
  Index batch = 1;  ///< of the whole grid
  int width = 1;
  double layers = 1;  ///< products [n x n] in a step, one after another
};

/// How the two passes through the chain are done.
struct PassMethods {
  std::string forward = "auto";  ///< from nonlinear::catalogue(), or left open
  /// Of the forward solver. Its linear solver is left open too where the forward solver is.
  nonlinear::Settings settings;
  std::string backward = "auto";  ///< from linear::catalogue(), or left open
};

/// What the user asks for; 0 and "auto" are left to the cost formulas.
struct WantedSharing {
  int depth_ranks = 0;
  int data_ranks = 0;
  PassMethods methods;
};

/// What one update costs by the formulas, as times in one unit: a step of one layer for one sample
/// on one rank.
struct PassCosts {
  double forward = 0;
  double backward = 0;
  double total() const { return forward + backward; }
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

/// Cost of one update on such a grid.
PassCosts update_cost(const TrainingProblem& training, const Sharing& sharing);

}  // namespace deeppcr::train
