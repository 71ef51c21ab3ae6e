#include "deeppcr/io/training_trace.hpp"

#include <cmath>
#include <utility>

#include "deeppcr/core/files.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/replace_file.hpp"
#include "io/trace_layout.hpp"

namespace deeppcr::io {

namespace {
constexpr double kFlushSeconds = 0.5;
}

/// Rank 0 has the file.
struct TrainingTrace::State {
  const parallel::Communicator& comm;
  std::string path;
  TrainingTraceHeader header;
  std::unique_ptr<hdf5::File> file;
  std::vector<double> waiting;  ///< rows
  Stopwatch since_flush;

  Index row_size() const {
    return static_cast<Index>(header.columns.size() + header.stages.size());
  }
  void create();
  void write_waiting();
};

void TrainingTrace::State::create() {
  StartedFile started(path);
  file = std::make_unique<hdf5::File>(started.create());
  write_provenance(*file, kTraceFormat, header.provenance);
  write_problem(*file, header.problem);
  file->set("/problem", "depth_ranks", header.depth_ranks);
  file->set("/problem", "data_ranks", header.data_ranks);
  write_layout(*file, header.layout);
  const std::vector<std::string> by_update{"update"};
  for (const TrainingColumn& column : header.columns) {
    const hdf5::Description about{column.long_name, by_update, ""};
    if (column.whole) {
      file->create_extendible<Index>("/training/" + column.name, {}, about);
    } else {
      file->create_extendible<double>("/training/" + column.name, {}, about);
    }
  }
  file->create_extendible<double>("/training/seconds", {static_cast<Index>(header.stages.size())},
                                  {"time by stage, slowest rank", {"update", "stage"}, "s"});
  file->set("/training/seconds", "stages", header.stages);
  const std::vector<std::string> by_evaluation{"evaluation"};
  file->create_extendible<Index>("/evaluation/update", {}, {"updates done", by_evaluation, ""});
  file->create_extendible<double>("/evaluation/loss", {}, {"mean loss", by_evaluation, ""});
  file->create_extendible<double>("/evaluation/accuracy", {},
                                  {"part of the samples that is right", by_evaluation, ""});
  file->create_group("/outcome");
  file->set("/outcome", "status", std::string("running"));
  file->start_single_writer();
  write_waiting();
  file->flush();
  started.place(file.get());
}

void TrainingTrace::State::write_waiting() {
  since_flush.restart();
  const Index count = static_cast<Index>(waiting.size()) / row_size();
  if (count == 0) return;
  const auto columns = static_cast<Index>(header.columns.size());
  const Index stages = row_size() - columns;
  std::vector<double> numbers(static_cast<std::size_t>(count));
  std::vector<Index> whole(static_cast<std::size_t>(count));
  for (Index c = 0; c < columns; ++c) {
    const TrainingColumn& column = header.columns[static_cast<std::size_t>(c)];
    for (Index i = 0; i < count; ++i) {
      const double value = waiting[static_cast<std::size_t>(i * row_size() + c)];
      numbers[static_cast<std::size_t>(i)] = value;
      whole[static_cast<std::size_t>(i)] = column.whole ? std::llround(value) : 0;
    }
    if (column.whole) {
      file->append<Index>("/training/" + column.name, count, {}, whole.data());
    } else {
      file->append<double>("/training/" + column.name, count, {}, numbers.data());
    }
  }
  std::vector<double> seconds;
  for (Index i = 0; i < count; ++i) {
    const auto row = waiting.begin() + static_cast<std::ptrdiff_t>(i * row_size());
    seconds.insert(seconds.end(), row + static_cast<std::ptrdiff_t>(columns),
                   row + static_cast<std::ptrdiff_t>(row_size()));
  }
  file->append<double>("/training/seconds", count, {stages}, seconds.data());
  waiting.clear();
  file->flush();
}

TrainingTrace::TrainingTrace(const parallel::Communicator& comm, const std::string& path,
                             TrainingTraceHeader header, Index rows, const double* history)
    : state_(std::make_unique<State>(
          State{comm, link_target(path), std::move(header), nullptr, {}, Stopwatch{}})) {
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    state_->waiting.assign(history, history + rows * state_->row_size());
    state_->create();
  });
}

TrainingTrace::~TrainingTrace() = default;

void TrainingTrace::append(const double* row) {
  if (!state_->file) return;
  state_->waiting.insert(state_->waiting.end(), row, row + state_->row_size());
  if (state_->since_flush.seconds() >= kFlushSeconds) state_->write_waiting();
}

void TrainingTrace::evaluation(Index update, double loss, double accuracy) {
  if (!state_->file) return;
  state_->file->append<Index>("/evaluation/update", 1, {}, &update);
  state_->file->append<double>("/evaluation/loss", 1, {}, &loss);
  state_->file->append<double>("/evaluation/accuracy", 1, {}, &accuracy);
  state_->write_waiting();
}

void TrainingTrace::finish(const TrainingOutcome& outcome) {
  parallel::agree(state_->comm, [&] {
    if (!state_->file) return;
    state_->write_waiting();
    // A file with live readers takes no attributes: it is opened anew as an ordinary one.
    state_->file->close();
    hdf5::File file = hdf5::File::open(state_->path, hdf5::File::Access::finish);
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
    state_->file.reset();
  });
}

}  // namespace deeppcr::io
