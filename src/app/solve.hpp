#pragma once

#include <map>
#include <optional>
#include <string>

#include "app/chain.hpp"
#include "app/config.hpp"
#include "app/run_solver.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"

namespace deeppcr::app {

/// Fills the states of the chain by the solver of the configuration: run_solver(). Collective.
SolverRun run_forward(Chain& chain, const RunConfig& config, const cli::Context& context);

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

/// What the comparison with sequential execution on the same ranks found.
struct Verification {
  double sequential_seconds = 0;
  /// Largest difference by name ("states", "parameter gradients", ..), relative to the largest
  /// value of that kind.
  std::map<std::string, double> errors;
};

/// What the backward pass adds to a report.
struct GradientSummary {
  double loss = 0;
  double accuracy = 0;                  ///< not a number without a classifier
  std::map<std::string, double> norms;  ///< 2-norms: "input", "parameters", "embedding", "head"
  nonlinear::AdjointReport adjoint;
};

/// All that the report of `solve` and `gradient` is made of; equal on all ranks.
struct ChainReport {
  SolverRun run;
  double weight_bytes = 0;  ///< of the rank that holds most
  std::optional<GradientSummary> gradient;
  std::optional<Verification> verification;
};

/// /z_last, and /state for --state where the steps take inputs. Collective.
void write_last_state(io::hdf5::File& file, const Chain& chain);

/// Bytes of the parameters on the rank that holds most. Collective.
double weight_bytes(const Chain& chain);

/// Prints it; the exit code that goes with the status. Collective.
int print(const cli::Context& context, const char* command, const RunConfig& config,
          const ChainReport& report);

}  // namespace deeppcr::app
