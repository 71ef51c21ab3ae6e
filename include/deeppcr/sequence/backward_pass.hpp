#pragma once

#include "deeppcr/core/view.hpp"
#include "deeppcr/sequence/parameters.hpp"

namespace deeppcr::sequence {

/// A backward pass through a range of m steps: what it reads and what it writes.
struct BackwardPass {
  ConstStates in;               ///< the states that the steps start from, [m, B, n]
  ConstStates loss;             ///< c: explicit gradient of the loss by the states after them,
                                ///< [m, B, n], or its last rows, as in
                                ///< Linearisation::substitute() backward
  States gradient;              ///< g: the whole gradient by these states, [m, B, n]; may be `loss`
  State carry;                  ///< A^T g of the step behind the range, then of its first; [B, n]
  const GroupRows& parameters;  ///< their gradients: rows of the steps are assigned, shared ones
                                ///< added to
  /// Of one of Sequence::layers(): what comes from the layer above by the output() of each step,
  /// [m, B, h], and the gradient by the inputs, for the layer below, [m, B, d]. The former is no
  /// part of `gradient`, which is that of the whole chain's states. Empty: none, and not wanted.
  ConstStates from_above = {};
  States by_inputs = {};
};

}  // namespace deeppcr::sequence
