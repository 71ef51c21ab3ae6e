#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/io/provenance.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

/// One column of /training: a dataset [updates].
struct TrainingColumn {
  std::string name;
  std::string long_name;
  bool whole = false;  ///< stored as whole numbers
};

/// What a training trace says before the first update.
struct TrainingTraceHeader {
  Provenance provenance;
  Problem problem;
  Index depth_ranks = 1;
  Index data_ranks = 1;
  parallel::BlockLayout layout;         ///< of the steps over the depth ranks
  std::vector<TrainingColumn> columns;  ///< the first numbers of a row
  std::vector<std::string> stages;      ///< the others: /training/seconds [updates, stage]
};

/// How a training run ended: attributes of /outcome.
struct TrainingOutcome {
  std::string status;
  std::string reason;
  Index updates = 0;
  double seconds = 0;
  std::vector<Index> confusion;  ///< [classes, classes]; empty where nothing was evaluated
  std::vector<std::string> options_unused;
};

/// History of a training run, written by rank 0 so that others (h5py with swmr=True) read it live.
/// A run that goes on writes the whole history anew, from its checkpoint.
class TrainingTrace {
 public:
  /// Collective. Replaces what has that name, through symbolic links. `history`: rows of the
  /// updates so far. @throws Error (on all ranks) when the path cannot be written
  TrainingTrace(const parallel::Communicator& comm, const std::string& path,
                const TrainingTraceHeader& header, Index rows, const double* history);
  ~TrainingTrace();

  /// One update, [columns + stages]; only rank 0's is written. Not collective; reaches the file
  /// within half a second of later updates.
  void append(const double* row);
  /// A row of /evaluation/{update, loss, accuracy}: on samples that were not trained on.
  void evaluation(Index update, double loss, double accuracy);
  /// Attributes of /outcome (until then `status` is "running") and, where there is one,
  /// /evaluation/confusion; closes the file. Collective.
  void finish(const TrainingOutcome& outcome);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace deeppcr::io
