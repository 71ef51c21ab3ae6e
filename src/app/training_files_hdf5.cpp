#include <fmt/ranges.h>

#include <filesystem>

#include "app/provenance.hpp"
#include "app/same_run.hpp"
#include "app/training_files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/io/idx.hpp"
#include "deeppcr/io/training_trace.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app::storage {
namespace {

constexpr const char* kHistory = "/history/updates";
constexpr const char* kEvaluations = "/history/evaluations";
constexpr const char* kEmbedding = "/parameters/embedding";
constexpr const char* kHead = "/parameters/head";

const std::vector<io::TrainingColumn>& columns() {
  static const std::vector<io::TrainingColumn> all{
      {"update", "updates before this one", true},
      {"epoch", "epoch, counted from 0", true},
      {"loss", "mean loss of the batch", false},
      {"accuracy", "part of the batch that is right", false},
      {"learning_rate", "learning rate", false},
      {"gradient_norm", "2-norm of the gradient, before clipping", false},
      {"newton_iterations", "iterations of the forward pass, most of all data ranks", true},
      {"fell_back", "1 where sequential substitution had to help", true},
  };
  return all;
}

io::Problem to_problem(const TrainedModel& model) {
  return {model.name, model.steps, model.batch, model.width, model.seed};
}

/// A table of numbers, written by rank 0.
io::CheckpointArray table(const parallel::Communicator& comm, const char* name, Index rows,
                          Index columns, const double* values, const std::string& long_name) {
  io::CheckpointArray array;
  array.name = name;
  array.shape = {rows, columns};
  if (comm.is_root()) array.pieces.push_back({0, rows, values});
  array.about = {long_name, {"row", "column"}, ""};
  return array;
}

class Hdf5TrainingFiles final : public TrainingFiles {
 public:
  Hdf5TrainingFiles(const Context& context, const parallel::ProcessGrid& grid, FilesConfig files,
                    TrainedModel model)
      : grid_(grid),
        files_(std::move(files)),
        model_(std::move(model)),
        about_(provenance(context)) {}

  bool resume(const std::string& restart, TrainingState& state) override;
  void save(const TrainingState& state) override;
  void open_trace(const TrainingState& state, const std::vector<Index>& first_steps) override;

  void record(const train::History& history) override {
    if (trace_) trace_->append(history.row(history.rows() - 1));
  }
  void evaluated(const EvaluationRow& row) override {
    if (trace_) trace_->evaluation(row.updates, row.loss, row.accuracy);
  }
  void finish(const Ending& ending) override {
    if (!trace_) return;
    trace_->finish({ending.status, ending.reason, ending.updates, ending.seconds, ending.confusion,
                    parallel::Runtime::unused_petsc_options()});
  }

 private:
  io::CheckpointArray to_checkpoint(const train::StoredArray& array) const;
  void read_tables(const io::Checkpoint& checkpoint, TrainingState& state) const;

  const parallel::ProcessGrid& grid_;
  FilesConfig files_;
  TrainedModel model_;
  io::Provenance about_;
  std::unique_ptr<io::TrainingTrace> trace_;
};

io::CheckpointArray Hdf5TrainingFiles::to_checkpoint(const train::StoredArray& array) const {
  io::CheckpointArray stored;
  stored.name = "/" + array.name;
  stored.shape = {array.rows, array.row_size};
  const bool first_holder = !array.shared || grid_.depth().rank() == 0;
  if (first_holder && grid_.data().rank() == 0)
    stored.pieces.push_back({array.own, array.values});
  stored.about = {array.long_name, {"row", "number"}, ""};
  return stored;
}

void Hdf5TrainingFiles::save(const TrainingState& state) {
  io::CheckpointContent content;
  content.problem = to_problem(model_);
  const Index rows = state.history.rows();
  const double loss = rows > 0 ? state.history.row(rows - 1)[train::History::loss] : 0;
  content.progress = {state.updates, loss, state.seconds};
  for (const train::StoredArray& array : state.arrays) {
    if (array.row_size > 0) content.arrays.push_back(to_checkpoint(array));
  }
  if (rows > 0) {
    content.arrays.push_back(table(grid_.world(), kHistory, rows, state.history.row_size(),
                                   state.history.row(0),
                                   "the updates so far, as /training of a trace"));
  }
  std::vector<double> evaluations;
  for (const EvaluationRow& row : state.evaluations)
    evaluations.insert(evaluations.end(),
                       {static_cast<double>(row.updates), row.loss, row.accuracy});
  if (!evaluations.empty()) {
    content.arrays.push_back(table(grid_.world(), kEvaluations,
                                   static_cast<Index>(state.evaluations.size()), 3,
                                   evaluations.data(), "updates done, loss, accuracy"));
  }
  io::save_checkpoint(grid_.world(), files_.checkpoint_path(), about_, content);
}

bool Hdf5TrainingFiles::resume(const std::string& restart, TrainingState& state) {
  const parallel::Communicator& comm = grid_.world();
  std::optional<std::string> path = restart;
  if (restart == "auto") path = io::find_newest_intact(comm, files_.checkpoint_path());
  if (!path) {
    log::info("no checkpoint of {} yet: starting afresh", files_.checkpoint_path());
    return false;
  }
  const io::Checkpoint checkpoint(comm, *path);
  checkpoint.require(to_problem(model_));
  require_same_run(comm, *path, checkpoint.provenance().configuration, about_.configuration);
  for (const train::StoredArray& array : state.arrays) {
    const std::string name = "/" + array.name;
    const io::hdf5::Shape wanted{array.rows, array.row_size};
    if (array.row_size == 0) continue;
    if (!checkpoint.has(name)) {
      throw input_error("--restart {}: it has no {}; give the options of the run that wrote it",
                        *path, name);
    }
    const io::hdf5::Shape shape = checkpoint.shape(name);
    if (shape != wanted) {
      throw input_error("--restart {}: {} is [{}], but this run needs [{}, {}]", *path, name,
                        fmt::join(shape, ", "), array.rows, array.row_size);
    }
    checkpoint.read(name, {{array.own, array.values}});
  }
  state.updates = checkpoint.progress().iteration;
  state.seconds = checkpoint.progress().elapsed_seconds;
  read_tables(checkpoint, state);
  log::info("going on from {}: {} updates done", *path, state.updates);
  return true;
}

void Hdf5TrainingFiles::read_tables(const io::Checkpoint& checkpoint, TrainingState& state) const {
  if (checkpoint.has(kHistory)) {
    const io::hdf5::Shape shape = checkpoint.shape(kHistory);
    if (shape[1] == state.history.row_size())
      checkpoint.read(kHistory, {{0, shape[0], state.history.resize(shape[0])}});
  }
  if (!checkpoint.has(kEvaluations)) return;
  const Index rows = checkpoint.shape(kEvaluations)[0];
  std::vector<double> values(static_cast<std::size_t>(3 * rows));
  checkpoint.read(kEvaluations, {{0, rows, values.data()}});
  for (auto row = values.begin(); row != values.end(); row += 3)
    state.evaluations.push_back({static_cast<Index>(row[0]), row[1], row[2]});
}

void Hdf5TrainingFiles::open_trace(const TrainingState& state,
                                   const std::vector<Index>& first_steps) {
  if (files_.trace.empty()) return;
  io::TrainingTraceHeader header;
  header.provenance = about_;
  header.problem = to_problem(model_);
  header.depth_ranks = grid_.depth().size();
  header.data_ranks = grid_.data().size();
  header.layout = parallel::BlockLayout(first_steps);
  header.columns = columns();
  header.stages = state.history.stages();
  trace_ = std::make_unique<io::TrainingTrace>(grid_.world(), files_.trace, header,
                                               state.history.rows(), state.history.row(0));
  for (const EvaluationRow& row : state.evaluations) evaluated(row);
}

}  // namespace

train::Images read_image_set(const parallel::Communicator& comm, const std::string& set,
                             bool training_set, Index samples) {
  train::Images images;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    io::ImageSelection selection;
    selection.training_set = training_set;
    selection.samples = samples > 0 ? std::optional<Index>(samples) : std::nullopt;
    io::ImageSet read = io::read_image_set(set, selection);
    images = {read.height, read.width, std::move(read.pixels), std::move(read.labels)};
  });
  return images;
}

std::unique_ptr<TrainingFiles> training_files(const Context& context,
                                              const parallel::ProcessGrid& grid,
                                              const FilesConfig& files, const TrainedModel& model) {
  return std::make_unique<Hdf5TrainingFiles>(context, grid, files, model);
}

CheckpointOrigin checkpoint_origin(const parallel::Communicator& comm, const std::string& path) {
  const io::Checkpoint checkpoint(comm, path);
  CheckpointOrigin origin{path, checkpoint.provenance().configuration,
                          checkpoint.progress().iteration};
  // a row for each input, then the bias
  if (checkpoint.has(kEmbedding)) origin.features = checkpoint.shape(kEmbedding).at(0) - 1;
  if (checkpoint.has(kHead)) origin.classes = checkpoint.shape(kHead).at(1);
  return origin;
}

std::optional<CheckpointOrigin> restart_origin(const parallel::Communicator& comm,
                                               const FilesConfig& files) {
  if (files.restart != "auto") return checkpoint_origin(comm, files.restart);
  const auto path = io::find_newest_intact(comm, files.checkpoint_path());
  if (!path) return std::nullopt;
  return checkpoint_origin(comm, *path);
}

}  // namespace deeppcr::app::storage
