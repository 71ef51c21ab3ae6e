#pragma once

#include <optional>
#include <string>

#include "app/chain.hpp"
#include "deeppcr/app/command.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::app {

/// What the comparison with sequential execution on the same ranks found.
struct Verification {
  double sequential_seconds = 0;
  /// Largest difference by name ("states", "parameter_gradients", ..), relative to the largest
  /// value of that kind.
  std::map<std::string, double> errors;
  double max_error() const;
};

/// A forward pass and what happened around it.
struct ForwardResult {
  nonlinear::SolveReport report;
  std::string stopped_by;       ///< what asked to stop; empty unless interrupted
  std::string checkpoint;       ///< where it can go on from; empty unless one was written at a stop
  Index iterations_before = 0;  ///< of the run that this one went on from
};

/// Fills the states of the chain: from the guess or the checkpoint, by Newton or one step after
/// another, with trace, checkpoints, progress and stops. Collective.
ForwardResult run_forward(Chain& chain, const RunConfig& config, const Context& context);

/// The states by sequential execution, with the seconds that took (largest over ranks). Collective.
struct SequentialRun {
  sequence::Trajectory trajectory;
  double seconds = 0;
};
SequentialRun run_sequential(const Chain& chain);

/// max |a - b| / max |b| over all ranks; the difference itself where b is zero. NaN anywhere gives
/// infinity. Collective.
double relative_difference(const parallel::Communicator& comm, Index count, const Real* a,
                           const Real* b);

}  // namespace deeppcr::app
