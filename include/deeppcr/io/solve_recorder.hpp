#pragma once

#include <string>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::io {

/// Where and with what a running solve writes checkpoints. An empty path: it never does.
struct CheckpointPlan {
  std::string path;
  Provenance provenance;
  Problem problem;
  Index iterations_before = 0;  ///< of the runs that this one goes on from
  double seconds_before = 0;
};

/// Appends each iteration of a solve to the trace, and writes a checkpoint where a monitor asks for
/// one. Calls are collective.
class SolveRecorder final : public nonlinear::Monitor {
 public:
  /// trace may be missing. The trajectory is the one being solved: its layout and its input z_0 go
  /// into checkpoints.
  SolveRecorder(const sequence::Trajectory& trajectory, Trace* trace, CheckpointPlan plan);

  Action iteration(const nonlinear::IterationRecord& record, const Real* local_states) override;

  /// Writes a checkpoint where the plan says.
  void save(const nonlinear::IterationRecord& record, const Real* local_states) override;

 private:
  const sequence::Trajectory& trajectory_;
  Trace* trace_;
  CheckpointPlan plan_;
  Stopwatch watch_;
};

}  // namespace deeppcr::io
