#include "app/training_files.hpp"

#include <fmt/ranges.h>

#include "app/files.hpp"
#include "app/same_run.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
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

/// A table of numbers, written by rank 0.
io::CheckpointArray table(const parallel::Communicator& comm, const char* name, Index rows,
                          Index columns, const double* values, const std::string& long_name) {
  io::CheckpointArray array{name, {rows, columns}, {}, {long_name, {"row", "column"}, ""}};
  if (comm.is_root()) array.pieces.push_back({0, rows, values});
  return array;
}

void read_array(const io::Checkpoint& checkpoint, const train::StoredArray& array) {
  const std::string name = "/" + array.name;
  const io::hdf5::Shape wanted{array.rows, array.row_size};
  const bool there = checkpoint.has(name);
  if (array.row_size == 0) return;
  if (!there || checkpoint.shape(name) != wanted) {
    throw input_error("--restart {}: {} is {}, but this run needs [{}, {}]", checkpoint.path(),
                      name, there ? fmt::format("{}", checkpoint.shape(name)) : "missing",
                      array.rows, array.row_size);
  }
  checkpoint.read(name, {{array.own, array.values}});
}

void read_tables(const io::Checkpoint& checkpoint, TrainingState& state) {
  if (checkpoint.has(kHistory)) {
    const io::hdf5::Shape shape = checkpoint.shape(kHistory);
    if (shape[1] == state.history.row_size())
      checkpoint.read(kHistory, {{0, shape[0], state.history.resize(shape[0])}});
  }
  if (!checkpoint.has(kEvaluations)) return;
  state.evaluations.resize(static_cast<std::size_t>(checkpoint.shape(kEvaluations)[0]));
  checkpoint.read(kEvaluations, {{0, static_cast<Index>(state.evaluations.size()),
                                  state.evaluations.front().data()}});
}

}  // namespace

TrainingFiles::TrainingFiles(const Context& context, const parallel::ProcessGrid& grid,
                             FilesConfig files, io::Problem problem)
    : grid_(grid),
      files_(std::move(files)),
      problem_(std::move(problem)),
      about_(provenance(context)) {}

io::CheckpointArray TrainingFiles::to_checkpoint(const train::StoredArray& array) const {
  io::CheckpointArray stored{
      "/" + array.name, {array.rows, array.row_size}, {}, {array.long_name, {"row", "number"}, ""}};
  const bool first_holder = !array.shared || grid_.depth().rank() == 0;
  if (first_holder && grid_.data().rank() == 0) stored.pieces.push_back({array.own, array.values});
  return stored;
}

void TrainingFiles::save(const TrainingState& state) const {
  const parallel::Communicator& comm = grid_.world();
  io::CheckpointContent content;
  content.problem = problem_;
  const Index rows = state.history.rows();
  const double loss = rows > 0 ? state.history.row(rows - 1)[train::History::loss] : 0;
  content.progress = {state.updates, loss, state.seconds};
  for (const train::StoredArray& array : state.arrays) {
    if (array.row_size > 0) content.arrays.push_back(to_checkpoint(array));
  }
  if (rows > 0) {
    content.arrays.push_back(table(comm, kHistory, rows, state.history.row_size(),
                                   state.history.row(0),
                                   "the updates so far, as /training of a trace"));
  }
  if (!state.evaluations.empty()) {
    content.arrays.push_back(table(comm, kEvaluations, static_cast<Index>(state.evaluations.size()),
                                   3, state.evaluations.front().data(),
                                   "updates done, loss, accuracy"));
  }
  io::save_checkpoint(comm, files_.checkpoint_path(), about_, content);
}

void TrainingFiles::resume(const std::string& path, TrainingState& state) const {
  const io::Checkpoint checkpoint(grid_.world(), path);
  checkpoint.require(problem_);
  require_same_run(grid_.world(), path, checkpoint.provenance().configuration,
                   about_.configuration);
  for (const train::StoredArray& array : state.arrays) read_array(checkpoint, array);
  state.updates = checkpoint.progress().iteration;
  state.seconds = checkpoint.progress().elapsed_seconds;
  read_tables(checkpoint, state);
  log::info("going on from {}: {} updates done", path, state.updates);
}

void TrainingFiles::open_trace(const TrainingState& state, const std::vector<Index>& first_steps) {
  if (files_.trace.empty()) return;
  io::TrainingTraceHeader header;
  header.provenance = about_;
  header.problem = problem_;
  header.depth_ranks = grid_.depth().size();
  header.data_ranks = grid_.data().size();
  header.layout = parallel::BlockLayout(first_steps);
  header.columns = columns();
  header.stages = state.history.stages();
  trace_ = std::make_unique<io::TrainingTrace>(grid_.world(), files_.trace, header,
                                               state.history.rows(), state.history.row(0));
  for (const EvaluationRow& row : state.evaluations) evaluated(row);
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

}  // namespace deeppcr::app
