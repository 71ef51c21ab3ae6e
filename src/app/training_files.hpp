#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/trace.hpp"
#include "deeppcr/nonlinear/report.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/history.hpp"
#include "deeppcr/train/old_weights.hpp"

namespace deeppcr::app {

/// A score on samples that were not trained on: updates done, loss, accuracy.
using EvaluationRow = std::array<double, 3>;

/// A mean of the data ranks' parameters, or a look at old weights: updates done, drift.
using RoundRow = std::array<double, 2>;

/// All that a checkpoint of a training run holds; the run's own objects, filled on resuming.
struct TrainingState {
  std::vector<train::StoredArray> arrays;
  train::History& history;
  std::vector<EvaluationRow>& evaluations;
  Index updates = 0;
  double seconds = 0;                       ///< of all runs so far
  std::vector<RoundRow>* rounds = nullptr;  ///< null where there is no drift
  train::Delay delay = {};
};

/// How a training run ended.
struct TrainingResult {
  nonlinear::Status status = nonlinear::Status::converged;
  std::string reason;      ///< a sentence where it failed or was stopped
  std::string checkpoint;  ///< the last one written; empty without
  Index updates = 0;       ///< of all parts of the run
  Index updates_before = 0;
  double seconds = 0;             ///< of this part
  double checkpoint_seconds = 0;  ///< spent on writing them
  std::vector<RoundRow> rounds;
  Index local_steps = 1;  ///< of the round that was going on
  train::History history;
  std::optional<train::Evaluation> evaluation;  ///< the last one
  std::optional<train::PipelineUse> pipeline;
};

/// Checkpoints and trace of one training run. Calls are collective over the grid but where it says
/// so.
class TrainingFiles {
 public:
  /// problem: what is trained; it must be equal where a run goes on.
  TrainingFiles(const cli::Context& context, const parallel::ProcessGrid& grid, FilesConfig files,
                io::Problem problem);

  /// Fills the state from a checkpoint. @throws Error when it belongs to another run
  void resume(const std::string& path, TrainingState& state) const;
  void save(const TrainingState& state) const;
  /// Starts the trace, where the run has one, with the history so far.
  void open_trace(const TrainingState& state, const parallel::BlockLayout& layout);
  /// The last row of the history. Not collective.
  void record(const train::History& history);
  void evaluated(const EvaluationRow& row);
  void ended_round(const RoundRow& row);
  /// seconds: of all parts of the run.
  void finish(const TrainingResult& result, double seconds);

 private:
  io::CheckpointArray to_checkpoint(const train::StoredArray& array) const;

  const parallel::ProcessGrid& grid_;
  FilesConfig files_;
  io::Problem problem_;
  io::Provenance about_;
  std::string configuration_;
  std::unique_ptr<io::Trace> trace_;
};

/// The run that wrote a checkpoint. Collective.
struct CheckpointOrigin {
  std::string path;
  std::string configuration;  ///< as text
  Index updates = 0;          ///< that it has behind it
  Index features = 0;         ///< that its embedding takes; 0 without one
  Index outputs = 0;          ///< of its head; 0 without one
};
CheckpointOrigin checkpoint_origin(const parallel::Communicator& comm, const std::string& path);

}  // namespace deeppcr::app
