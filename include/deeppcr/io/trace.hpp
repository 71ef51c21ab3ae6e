#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/io/provenance.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::io {

/// Which states z_0..z_L of the solution are kept: all, the last, none, or every k-th (0, k, 2k,
/// ..).
struct StateSelection {
  enum class Kind { all, last, none, every };
  Kind kind = Kind::none;
  Index stride = 1;

  /// "all", "last", "none", "every:k" with k > 0. @throws Error for anything else
  static StateSelection parse(const std::string& text);
  /// Their numbers in 0..L, rising.
  std::vector<Index> states(Index num_steps) const;
};

/// What a trace says before the first iteration.
struct TraceHeader {
  Provenance provenance;
  Problem problem;
  parallel::BlockLayout layout;
  /// Columns of /iterations/seconds; times of stages not named here are added up in a last column
  /// "other".
  std::vector<std::string> stages = {"residual", "eliminate", "reduce", "substitute", "linear"};
  StateSelection states;
  /// Of the run that this one goes on from; its trace is then kept. Nothing for a fresh start.
  std::optional<Index> iterations_before;
};

/// History of a run, written by rank 0 so that others (h5py with swmr=True) read it live.
///
/// Records are kept for at most `flush_seconds` before they reach the file, so that a fast solve is
/// not slowed by it. Large states go to "<name>.states.h5" beside it, reached by the external link
/// /states.
class Trace {
 public:
  /// Collective. Replaces what has that name, through symbolic links; but where `header` goes on an
  /// earlier run of the same problem, its trace is renamed: "run.h5.1" or the next free number.
  /// @throws Error (on all ranks) when the path cannot be written
  Trace(const parallel::Communicator& comm, const std::string& path, const TraceHeader& header,
        double flush_seconds = 0.5);
  ~Trace();
  Trace(Trace&&) noexcept;

  /// One row of each of /iterations/{residual, step_norm, frozen_prefix, ksp_iterations, seconds,
  /// seconds_min, messages, bytes}. Collective; rank 0 writes.
  void append(const nonlinear::IterationRecord& record);
  /// Attributes of /outcome (until then only `iterations_before`, and `status` "running"), and the
  /// final `options_unused`. Collective; the last call but states() and close().
  void outcome(const nonlinear::SolveReport& report,
               const std::vector<std::string>& options_unused = {});
  /// The selected states, /states/z [count, B, n] with their numbers in /states/state. Collective.
  void states(const sequence::Trajectory& trajectory);
  void close();

  /// "run.h5" -> "run.states.h5"; "run" -> "run.states.h5".
  static std::string states_path(const std::string& path);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Fills trajectory.states() from the trajectory that a trace (/states/z, all states) or a
/// checkpoint (/state/z) holds; each rank reads its own part, whatever the layout was. The input
/// z_0 stays as it is. Collective.
/// @throws Error when the file has other L, B or n, or not all states
void read_guess(const std::string& path, sequence::Trajectory& trajectory);

}  // namespace deeppcr::io
