#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/app/command.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/history.hpp"
#include "deeppcr/train/images.hpp"

/// The files of a training run. As storage.hpp: one source by the io module, one for builds without
/// it.
namespace deeppcr::app::storage {

/// What is trained: must be equal where a run goes on.
struct TrainedModel {
  std::string name;
  Index steps = 0;
  Index width = 0;
  Index batch = 0;
  Index seed = 0;
};

/// Loss and accuracy on samples that were not trained on.
struct EvaluationRow {
  Index updates = 0;
  double loss = 0;
  double accuracy = 0;
};

/// All that a checkpoint of a training run holds; the run's own objects, filled on resuming.
struct TrainingState {
  std::vector<train::StoredArray> arrays;
  train::History& history;
  std::vector<EvaluationRow>& evaluations;
  Index updates = 0;
  double seconds = 0;  ///< of all runs so far
};

/// A set of images by rank 0 alone; the others get none. `samples` 0: all. Collective.
train::Images read_image_set(const parallel::Communicator& comm, const std::string& set,
                             bool training_set, Index samples);

/// Checkpoints and trace of one training run. Calls are collective over the grid but where it says
/// so.
class TrainingFiles {
 public:
  virtual ~TrainingFiles() = default;
  /// Fills the state from the checkpoint `restart` ("auto": the newest intact one of the run);
  /// false where there is none. @throws Error when it belongs to another run
  virtual bool resume(const std::string& restart, TrainingState& state) = 0;
  virtual void save(const TrainingState& state) = 0;
  /// Starts the trace, where the run has one, with the history so far.
  virtual void open_trace(const TrainingState& state, const std::vector<Index>& first_steps) = 0;
  /// The last row of the history. Not collective.
  virtual void record(const train::History& history) = 0;
  virtual void evaluated(const EvaluationRow& row) = 0;
  struct Ending {
    std::string status;
    std::string reason;
    Index updates = 0;
    double seconds = 0;
    std::vector<Index> confusion;  ///< of the last evaluation; may be empty
  };
  virtual void finish(const Ending& ending) = 0;
};

/// Nothing in builds without files.
std::unique_ptr<TrainingFiles> training_files(const Context& context,
                                              const parallel::ProcessGrid& grid,
                                              const FilesConfig& files, const TrainedModel& model);

/// The run that wrote a checkpoint. `path` may be the folder of the newest one. Collective.
struct CheckpointOrigin {
  std::string path;
  std::string configuration;  ///< as text
  Index updates = 0;          ///< that it has behind it
  Index features = 0;         ///< that its embedding takes; 0 without one
  Index classes = 0;          ///< that its head tells apart; 0 without one
};
CheckpointOrigin checkpoint_origin(const parallel::Communicator& comm, const std::string& path);
/// The same of what `restart` of a run names ("auto": its newest intact one); nothing where there
/// is none.
std::optional<CheckpointOrigin> restart_origin(const parallel::Communicator& comm,
                                               const FilesConfig& files);

}  // namespace deeppcr::app::storage
