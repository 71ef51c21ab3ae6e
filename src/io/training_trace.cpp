#include "deeppcr/io/training_trace.hpp"

#include <cmath>
#include <utility>

#include "deeppcr/core/files.hpp"
#include "io/live_file.hpp"

namespace deeppcr::io {

namespace {

constexpr double kFlushSeconds = 0.5;
enum Table : std::size_t { training, evaluations };

std::vector<LiveTable> tables_of(const TrainingTraceHeader& header) {
  LiveTable training{"/training", "update", {}};
  for (const TrainingColumn& column : header.columns)
    training.columns.push_back({column.name, column.long_name, column.whole});
  training.columns.push_back({"seconds", "time by stage, slowest rank", false, "stage",
                              static_cast<Index>(header.stages.size()), "s"});
  const LiveTable evaluations{"/evaluation",
                              "evaluation",
                              {{"update", "updates done", true},
                               {"loss", "mean loss"},
                               {"accuracy", "part of the samples that is right"}}};
  return {training, evaluations};
}

}  // namespace

/// Rank 0 has the file.
struct TrainingTrace::State {
  const parallel::Communicator& comm;
  std::size_t columns;
  std::size_t stages;
  std::unique_ptr<LiveFile> live;

  /// The columns one by one, then the stages together.
  void append(LiveFile& to, const double* row) const {
    LiveFile::Row numbers;
    for (std::size_t c = 0; c < columns; ++c) numbers.push_back({row[c]});
    numbers.emplace_back(row + columns, row + columns + stages);
    to.append(training, std::move(numbers));
  }
};

TrainingTrace::TrainingTrace(const parallel::Communicator& comm, const std::string& path,
                             const TrainingTraceHeader& header, Index rows, const double* history)
    : state_(std::make_unique<State>(
          State{comm, header.columns.size(), header.stages.size(), nullptr})) {
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    auto live = std::make_unique<LiveFile>(link_target(path), header.provenance, header.problem,
                                           header.layout, tables_of(header), kFlushSeconds);
    hdf5::File& file = live->file();
    file.set("/problem", "depth_ranks", header.depth_ranks);
    file.set("/problem", "data_ranks", header.data_ranks);
    file.set("/training/seconds", "stages", header.stages);
    live->start();
    const std::size_t row_size = state_->columns + state_->stages;
    for (Index row = 0; row < rows; ++row)
      state_->append(*live, history + static_cast<std::size_t>(row) * row_size);
    live->flush();
    live->place();
    state_->live = std::move(live);
  });
}

TrainingTrace::~TrainingTrace() = default;

void TrainingTrace::append(const double* row) {
  if (state_->live) state_->append(*state_->live, row);
}

void TrainingTrace::evaluation(Index update, double loss, double accuracy) {
  if (!state_->live) return;
  state_->live->append(evaluations, {{static_cast<double>(update)}, {loss}, {accuracy}});
  state_->live->flush();
}

void TrainingTrace::finish(const TrainingOutcome& outcome) {
  parallel::agree(state_->comm, [&] {
    if (!state_->live) return;
    hdf5::File& file = state_->live->end();
    file.set("/outcome", "status", outcome.status);
    file.set("/outcome", "reason", outcome.reason);
    file.set("/outcome", "updates", outcome.updates);
    file.set("/outcome", "seconds", outcome.seconds);
    file.set("/", "options_unused", outcome.options_unused);
    const auto classes = std::llround(std::sqrt(static_cast<double>(outcome.confusion.size())));
    if (classes > 0) {
      file.write<Index>("/evaluation/confusion", {classes, classes}, outcome.confusion.data(),
                        {"samples of a class taken for another, at the last evaluation",
                         {"class", "taken for"},
                         ""});
    }
    file.close();
    state_->live.reset();
  });
}

}  // namespace deeppcr::io
