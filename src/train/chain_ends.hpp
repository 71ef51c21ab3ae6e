#pragma once

#include <functional>

#include "deeppcr/core/types.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::train {

/// What stands at the two ends of a chain, a micro-batch at a time; `samples` are positions in the
/// batch.
struct ChainEnds {
  /// Fills z_0 [b, n]. On the first stage.
  std::function<void(StepRange samples, State z0)> begin;
  /// Sees the local states [L_local, b, n] behind the forward pass and fills the rows of the loss's
  /// gradient that it reads, [loss_rows, b, n]; nothing is asked for in an evaluation, [0, b, n].
  /// On stages with loss_rows.
  std::function<void(StepRange samples, ConstStates states, States gradient)> loss;
  /// Takes the gradient by z_0 [b, n]. On the first stage.
  std::function<void(StepRange samples, ConstState gradient)> end;
};

}  // namespace deeppcr::train
