#pragma once

#include "deeppcr/core/view.hpp"

namespace deeppcr::sequence {

/// What is given for each step and sample beside the state: a signal's sample, noise, a token. The
/// numbers are borrowed; they may change between two calls of a chain, but not during one.
struct Inputs {
  StepRange steps;         ///< those that rows are given for
  ConstStates values;      ///< [steps.size(), all samples, d]
  Index first_sample = 0;  ///< a batch is this sample and those that follow

  /// Those of step l for the samples of a batch, [B, d].
  const Real* at(Index l) const {
    return values.data() + ((l - steps.first) * values.extent(1) + first_sample) * values.extent(2);
  }
  /// The same where a batch begins so many samples later.
  Inputs from_sample(Index first) const { return {steps, values, first_sample + first}; }
};

/// The features of samples as inputs of some steps: step l takes features [l d, (l + 1) d), and
/// zeros behind the last. Shapes: features [B, F], inputs [steps.size(), B, d].
void deal_features(ConstState features, StepRange steps, View<Real, 3> inputs);

}  // namespace deeppcr::sequence
