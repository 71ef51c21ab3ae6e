#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/hdf5_file.hpp"
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

/// A dataset of a table: one number a row, or a row of numbers along an axis of its own.
struct TraceColumn {
  std::string name;
  std::string long_name;
  bool whole = false;      ///< stored as whole numbers
  std::string axis = {};   ///< "stage": TraceHeader::stages; any other grows; empty: one number
  std::string units = {};  ///< empty: none
};
/// Datasets of one group that grow together, by rows along `axis`.
struct TraceTable {
  std::string group;
  std::string axis;
  std::vector<TraceColumn> columns;
};
/// The numbers of each column.
using TraceRow = std::vector<std::vector<double>>;

/// What a trace says before the first row.
struct TraceHeader {
  Provenance provenance;
  Problem problem;
  parallel::BlockLayout layout;
  /// Columns of times. In a solve's, times of stages not named here are added up in a last column
  /// "other".
  std::vector<std::string> stages = {"residual", "eliminate", "reduce", "substitute", "linear"};
  StateSelection states = {};
  /// Of the run that this solve goes on from; its trace is then kept. Nothing for a fresh start.
  std::optional<Index> iterations_before = {};
  /// Of a run that is no solve: its tables, in place of /iterations, the rows of the first one so
  /// far, and more attributes of /problem.
  std::vector<TraceTable> tables = {};
  std::vector<TraceRow> rows = {};
  hdf5::Attributes more_of_problem = {};
};

/// History of a run, written by rank 0 so that others (h5py with swmr=True) read it live.
///
/// Rows are kept for at most `flush_seconds` before they reach the file, so that a fast solve is
/// not slowed by it. Large states go to "<name>.states.h5" beside it, reached by the external link
/// /states.
class Trace {
 public:
  /// Collective. Replaces what has that name, through symbolic links; but where `header` goes on an
  /// earlier solve of the same problem, its trace is renamed: "run.h5.1" or the next free number.
  /// @throws Error (on all ranks) when the path cannot be written
  Trace(const parallel::Communicator& comm, const std::string& path, TraceHeader header,
        double flush_seconds = 0.5);

  /// One row of a table; only rank 0's is written. Not collective. @throws Error (this rank)
  void append(std::size_t table, TraceRow row);
  /// One row of each of /iterations/{residual, step_norm, frozen_prefix, ksp_iterations, seconds,
  /// seconds_min, messages, bytes}. Collective.
  void append(const nonlinear::IterationRecord& record);
  /// Makes everything so far visible to readers. Not collective.
  void flush();
  /// How the run ended: `body` writes it on rank 0, attributes of /outcome (until then `status` is
  /// "running") and datasets. Collective; no rows after it.
  void outcome(const std::vector<std::string>& options_unused,
               const std::function<void(hdf5::File&)>& body);
  void outcome(const nonlinear::SolveReport& report,
               const std::vector<std::string>& options_unused = {});
  /// The selected states, /states/z [count, B, n] with their numbers in /states/state. Collective.
  void states(const sequence::Trajectory& trajectory);
  void close();

  /// "run.h5" -> "run.states.h5"; "run" -> "run.states.h5".
  static std::string states_path(const std::string& path);

 private:
  struct Table {
    TraceTable about;
    std::vector<hdf5::Shape> row_shapes;  ///< of each column; empty for one number
    std::vector<TraceRow> waiting;
  };
  void begin(const std::string& temporary);
  void create(Table& table);
  void write(Table& table);

  const parallel::Communicator& comm_;
  std::string path_;
  TraceHeader header_;
  double flush_seconds_;
  std::vector<Table> tables_;
  std::optional<hdf5::File> file_;  ///< rank 0 has it; the others only take part
  Stopwatch since_flush_;
};

/// Fills trajectory.states() from the trajectory that a trace (/states/z, all states) or a
/// checkpoint (/state/z) holds; each rank reads its own part, whatever the layout was. The input
/// z_0 stays as it is. Collective.
/// @throws Error when the file has other L, B or n, or not all states
void read_guess(const std::string& path, sequence::Trajectory& trajectory);

}  // namespace deeppcr::io
