#pragma once

#include <string>

#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::train {

/// The size of a training run as far as the choice depends on it.
struct TrainingProblem {
  Index steps = 0;
  Index batch = 1;  ///< of the whole grid
  int width = 1;
  double layers = 1;        ///< products [n x n] in a step, one after another
  double weight_bytes = 0;  ///< of a step's own
  bool pipelines = true;    ///< whether micro-batches may follow each other
  int stacked_cells = 0;    ///< of recurrent chains: cells on top of each other
};

/// How ranks share an update: what the user asks for, where 0 and "auto" are left to the cost
/// formulas, or the decision and why. The linear solver of a forward solver that is left open is
/// open too.
struct Sharing {
  int depth_ranks = 0;
  int data_ranks = 0;
  PassMethods methods = {"auto", {}, "auto"};
  /// A sentence on what it was chosen from; empty where the user left nothing open.
  std::string choice;
  /// A sentence where another choice would be faster by the formulas; else empty.
  std::string advice;

  nonlinear::Problem problem(const TrainingProblem& training) const;
  std::unique_ptr<nonlinear::Solver> forward() const;
};

/// Fills in what the user has left open: plan::choose_sharing() of all ways by the cost formulas,
/// with the measured ratio of products; among them are micro-batches one behind the other through
/// the depth ranks (zero-bubble). Where that is sequential execution over several depth
/// ranks, the forward pass looks at the chain in each update and takes a faster way if there is one
/// ("auto").
/// @throws Error when the grid does not fit the ranks or the batch
Sharing choose_sharing(const TrainingProblem& training, const Sharing& wanted, int ranks);

}  // namespace deeppcr::train
