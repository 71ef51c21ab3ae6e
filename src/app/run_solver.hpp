#pragma once

#include <functional>
#include <string>

#include "app/config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::app {

/// A solve and what happened around it.
struct SolverRun {
  nonlinear::SolveReport report;
  std::string stopped_by;       ///< what asked to stop; empty unless interrupted
  std::string checkpoint;       ///< where it can go on from; empty unless one was written at a stop
  Index iterations_before = 0;  ///< of the run that this one went on from

  bool solved() const {
    return report.status == nonlinear::Status::converged ||
           report.status == nonlinear::Status::fell_back;
  }
  /// In words, where it ended early.
  std::string why() const {
    return report.reason + (stopped_by.empty() ? "" : " (" + stopped_by + ")");
  }
};

/// How states are found.
struct Method {
  bool iterates = true;       ///< else it has no safe points
  Index most_iterations = 0;  ///< for the progress line
  std::function<void()> guess;
  /// frozen_prefix: steps that an earlier run had done with.
  std::function<nonlinear::SolveReport(Index frozen_prefix, const nonlinear::Monitors&)> solve;
};

/// Fills the states, from the guess or the checkpoint of --restart, with trace, checkpoints,
/// progress and stops. Collective.
SolverRun run_solver(const cli::Context& context, const RunConfig& config,
                     sequence::Trajectory& trajectory, const Method& method);

}  // namespace deeppcr::app
