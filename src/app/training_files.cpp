#include "app/training_files.hpp"

#include <fmt/ranges.h>

#include "app/files.hpp"
#include "app/same_run.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

constexpr const char* kHistory = "/history/updates";
constexpr const char* kEvaluations = "/history/evaluations";
constexpr const char* kRounds = "/history/rounds";
constexpr const char* kOldWeights = "/history/old_weights";
constexpr const char* kEmbedding = "/parameters/embedding";
constexpr const char* kHead = "/parameters/head";

/// Of a trace, in its order.
enum Table : std::size_t { kTraining, kEvaluation, kRound };
const std::vector<io::TraceTable>& tables() {
  static const std::vector<io::TraceTable> all{
      {"/training",
       "update",
       {{"update", "updates before this one", true},
        {"epoch", "epoch, counted from 0", true},
        {"loss", "mean loss of the batch"},
        {"accuracy", "part of the batch that is right"},
        {"learning_rate", "learning rate"},
        {"gradient_norm", "2-norm of the gradient, before clipping"},
        {"newton_iterations", "iterations of the forward pass, most of all data ranks", true},
        {"fell_back", "1 where sequential substitution had to help", true},
        {"seconds", "time by stage, slowest rank", false, "stage", "s"}}},
      {"/evaluation",
       "evaluation",
       {{"update", "updates done", true},
        {"loss", "mean loss"},
        {"accuracy", "part of the samples that is right"}}}};
  return all;
}

/// The last table, of runs whose data ranks go by themselves.
const io::TraceTable kRoundTable{
    "/rounds",
    "round",
    {{"update", "updates done", true},
     {"drift",
      "largest distance of a data rank's parameters from their mean, relative to its norm"}}};

/// In its place, of runs whose gradients are delayed.
const io::TraceTable kOldWeightsTable{
    "/old_weights",
    "look",
    {{"update", "updates done", true},
     {"drift",
      "distance of the weights of the last gradient from those of the exact delay, relative to "
      "their norm"}}};

const char* rounds_of(const TrainingState& state) {
  return state.delay.any() ? kOldWeights : kRounds;
}

/// A row of the history: one number a column, but for the times by stage, which are the rest.
io::TraceRow trace_row(const train::History& history, Index row) {
  const double* numbers = history.row(row);
  const std::size_t single = tables()[kTraining].columns.size() - 1;
  io::TraceRow columns;
  for (std::size_t c = 0; c < single; ++c) columns.push_back({numbers[c]});
  columns.emplace_back(numbers + single, numbers + history.row_size());
  return columns;
}

/// A table of numbers, written by rank 0.
io::CheckpointArray table(const parallel::Communicator& comm, const char* name, Index rows,
                          Index columns, const double* values, const std::string& long_name) {
  io::CheckpointArray array{name, {rows, columns}, {}, {long_name, {"row", "column"}}};
  if (comm.is_root()) array.pieces.push_back({0, rows, values});
  return array;
}

void read_array(const io::Checkpoint& checkpoint, const train::StoredArray& array) {
  const std::string name = "/" + array.name;
  const io::hdf5::Shape wanted{array.rows, array.row_size};
  const bool there = checkpoint.file().has(name);
  const bool fits = there && checkpoint.file().shape(name) == wanted;
  if (array.row_size == 0 || ((array.per_data_rank || array.optional) && !fits)) return;
  if (!there && array.name.rfind("old/", 0) == 0)
    throw input_error(
        "--restart {}: {} is missing, which delayed gradients go on from; give --pipeline, --delay "
        "and --old-weights of the run that wrote it",
        checkpoint.file().path(), name);
  if (!fits) {
    throw input_error("--restart {}: {} is {}, but this run needs [{}, {}]",
                      checkpoint.file().path(), name,
                      there ? fmt::format("{}", checkpoint.file().shape(name)) : "missing",
                      array.rows, array.row_size);
  }
  checkpoint.file().read_rows<Real>(name, {{array.own, array.values}});
}

template <typename Row>
void read_rows(const io::Checkpoint& checkpoint, const char* name, std::vector<Row>& rows) {
  if (!checkpoint.file().has(name)) return;
  const Index count = checkpoint.file().shape(name)[0];
  rows.resize(static_cast<std::size_t>(count));
  checkpoint.file().read_rows<Real>(name, {{0, count, rows.front().data()}});
}

void read_tables(const io::Checkpoint& checkpoint, TrainingState& state) {
  if (checkpoint.file().has(kHistory)) {
    const io::hdf5::Shape shape = checkpoint.file().shape(kHistory);
    if (shape[1] == state.history.row_size())
      checkpoint.file().read_rows<Real>(kHistory, {{0, shape[0], state.history.resize(shape[0])}});
  }
  read_rows(checkpoint, kEvaluations, state.evaluations);
  if (state.rounds != nullptr) read_rows(checkpoint, rounds_of(state), *state.rounds);
}

}  // namespace

TrainingFiles::TrainingFiles(const cli::Context& context, const parallel::ProcessGrid& grid,
                             FilesConfig files, io::Problem problem)
    : grid_(grid),
      files_(std::move(files)),
      problem_(std::move(problem)),
      about_(provenance(context)),
      configuration_(context.configuration) {}

io::CheckpointArray TrainingFiles::to_checkpoint(const train::StoredArray& array) const {
  io::CheckpointArray stored{
      "/" + array.name, {array.rows, array.row_size}, {}, {array.long_name, {"row", "number"}}};
  const bool first_holder = !array.shared || grid_.depth().rank() == 0;
  if (first_holder && (array.per_data_rank || grid_.data().rank() == 0))
    stored.pieces.push_back({array.own, array.values});
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
  if (state.rounds != nullptr && !state.rounds->empty()) {
    content.arrays.push_back(table(comm, rounds_of(state), static_cast<Index>(state.rounds->size()),
                                   2, state.rounds->front().data(), "updates done, drift"));
  }
  io::save_checkpoint(comm, files_.checkpoint_path(), about_, content);
}

void TrainingFiles::resume(const std::string& path, TrainingState& state) const {
  const io::Checkpoint checkpoint(grid_.world(), path);
  checkpoint.require(problem_);
  require_same_run(grid_.world(), path, checkpoint.configuration(), configuration_);
  for (const train::StoredArray& array : state.arrays) read_array(checkpoint, array);
  state.updates = checkpoint.progress().iteration;
  state.seconds = checkpoint.progress().elapsed_seconds;
  read_tables(checkpoint, state);
  log::info("going on from {}: {} updates done", path, state.updates);
}

void TrainingFiles::open_trace(const TrainingState& state, const parallel::BlockLayout& layout) {
  if (files_.trace.empty()) return;
  io::TraceHeader header;
  header.provenance = about_;
  header.problem = problem_;
  header.more_of_problem = {{"depth_ranks", Index{grid_.depth().size()}},
                            {"data_ranks", Index{grid_.data().size()}}};
  header.layout = layout;
  header.stages = state.history.stages();
  header.tables = tables();
  if (state.delay.any())
    header.more_of_problem.emplace_back("delay", state.delay.of(0, grid_.depth().size()));
  if (state.rounds != nullptr)
    header.tables.push_back(state.delay.any() ? kOldWeightsTable : kRoundTable);
  for (Index row = 0; row < state.history.rows(); ++row)
    header.rows.push_back(trace_row(state.history, row));
  trace_ = std::make_unique<io::Trace>(grid_.world(), files_.trace, std::move(header));
  for (const EvaluationRow& row : state.evaluations) evaluated(row);
  for (std::size_t r = 0; state.rounds != nullptr && r < state.rounds->size(); ++r)
    ended_round((*state.rounds)[r]);
}

void TrainingFiles::record(const train::History& history) {
  if (trace_) trace_->append(kTraining, trace_row(history, history.rows() - 1));
}

void TrainingFiles::evaluated(const EvaluationRow& row) {
  if (!trace_) return;
  trace_->append(kEvaluation, {{row[0]}, {row[1]}, {row[2]}});
  trace_->flush();
}

void TrainingFiles::ended_round(const RoundRow& row) {
  if (trace_) trace_->append(kRound, {{row[0]}, {row[1]}});
}

void TrainingFiles::finish(const TrainingResult& result, double seconds) {
  if (!trace_) return;
  trace_->outcome(parallel::Runtime::unused_petsc_options(), [&](io::hdf5::File& file) {
    file.set_all("/outcome", {{"status", to_string(result.status)},
                              {"reason", result.reason},
                              {"updates", result.updates},
                              {"seconds", seconds}});
    if (!result.evaluation || result.evaluation->confusion.empty()) return;
    const Index classes = result.evaluation->classes;
    file.write<Index>(
        "/evaluation/confusion", {classes, classes}, result.evaluation->confusion.data(),
        {"samples of a class taken for another, at the last evaluation", {"class", "taken for"}});
  });
  trace_->close();
}

CheckpointOrigin checkpoint_origin(const parallel::Communicator& comm, const std::string& path) {
  const io::Checkpoint checkpoint(comm, path);
  CheckpointOrigin origin{path, checkpoint.configuration(), checkpoint.progress().iteration};
  // a row for each input, then the bias; of modules a group
  if (checkpoint.file().is_dataset(kEmbedding))
    origin.features = checkpoint.file().shape(kEmbedding).at(0) - 1;
  if (checkpoint.file().is_dataset(kHead)) origin.outputs = checkpoint.file().shape(kHead).at(1);
  return origin;
}

}  // namespace deeppcr::app
