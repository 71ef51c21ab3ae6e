#pragma once

#include <functional>
#include <string>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/nonlinear/report.hpp"

namespace deeppcr::io {

/// What the run is asked to do at a safe point; the strongest wish of any rank wins.
enum class Request { go_on = 0, checkpoint = 1, checkpoint_and_stop = 2 };

/// Where and with what a running solve writes checkpoints. An empty path: it never does.
struct CheckpointPlan {
  std::string path;
  int keep = 2;
  Provenance provenance;
  Problem problem;
  Index iterations_before = 0;  ///< of the runs that this one goes on from
  double seconds_before = 0;
};

/// Hears of each iteration of a solve, appends it to the trace and writes a checkpoint when asked.
/// Calls are collective.
class SolveRecorder final : public nonlinear::Monitor {
 public:
  /// trace may be missing. poll is called on every rank in each iteration (signals, stop file, time
  /// limit); may be empty. The trajectory is the one being solved: its layout and its input z_0 go
  /// into checkpoints.
  SolveRecorder(const sequence::Trajectory& trajectory, Trace* trace, CheckpointPlan plan,
                std::function<Request()> poll);

  /// Called after the records of the trace, on every rank; for a progress line.
  std::function<void(const nonlinear::IterationRecord&)> on_iteration;

  Action iteration(const nonlinear::IterationRecord& record, const Real* local_states) override;

  /// Writes a checkpoint where the plan says. @pre the plan has a path
  void save(const nonlinear::IterationRecord& record, const Real* local_states);
  int checkpoints_written() const { return checkpoints_written_; }

 private:
  const sequence::Trajectory& trajectory_;
  Trace* trace_;
  CheckpointPlan plan_;
  std::function<Request()> poll_;
  Stopwatch watch_;
  int checkpoints_written_ = 0;
};

}  // namespace deeppcr::io
