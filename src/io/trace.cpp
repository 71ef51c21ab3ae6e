#include "deeppcr/io/trace.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"
#include "io/replace_file.hpp"
#include "io/states_file.hpp"
#include "io/trace_layout.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

/// A row of numbers for each record, one after another: [count, columns].
template <typename T>
struct Table {
  Index columns = 0;
  std::vector<T> values;
};

/// Traffic of each level as columns; the widest record decides how many.
Table<Index> traffic_table(const std::vector<nonlinear::IterationRecord>& records,
                           Index parallel::Traffic::*field) {
  Table<Index> table;
  for (const auto& record : records) {
    table.columns = std::max(table.columns, static_cast<Index>(record.levels.size()));
  }
  for (const auto& record : records) {
    for (const auto& level : record.levels) table.values.push_back(level.*field);
    table.values.resize(table.values.size() + static_cast<std::size_t>(table.columns) -
                        record.levels.size());
  }
  return table;
}

/// Seconds by stage, stages without a column of their own in the last one.
std::vector<double> stage_columns(const std::map<std::string, double>& seconds,
                                  const std::vector<std::string>& stages) {
  std::vector<double> columns(stages.size(), 0.0);
  for (const auto& [stage, time] : seconds) {
    auto column = std::find(stages.begin(), stages.end() - 1, stage) - stages.begin();
    columns[static_cast<std::size_t>(column)] += time;
  }
  return columns;
}

/// The states that a trace refers to follow it to its new name.
void keep_states(const std::string& path, const std::string& kept) {
  hdf5::forget_writer(kept);  // its run may have been killed
  auto trace = hdf5::File::open(kept, hdf5::File::Access::modify);
  if (trace.linked_file("/states").empty()) return;
  const std::string states = Trace::states_path(path), kept_states = Trace::states_path(kept);
  if (fs::exists(states)) fs::rename(states, kept_states);
  trace.link_external("/states", fs::path(kept_states).filename().string(), "/");
}

Problem read_problem_of(const std::string& path) {
  return read_problem(hdf5::File::open(path, hdf5::File::Access::read));
}

/// What a trace is of; its run may have been killed while it ended it. One that cannot be read at
/// all is of nothing, and gets another name.
Problem problem_of(const std::string& path) {
  try {
    return read_problem_of(path);
  } catch (const Error&) {
  }
  try {
    hdf5::forget_writer(path);
    return read_problem_of(path);
  } catch (const Error& error) {
    const std::string kept = path + ".damaged";
    std::error_code failed;
    fs::rename(path, kept, failed);
    if (!failed) log::warn("{}; it is now '{}'", error.what(), kept);
    return {};
  }
}

/// Gives the trace of the run that this one goes on from the next free number. That of another
/// problem is no part of this history.
void keep_older(const std::string& path, const Problem& problem) {
  if (!fs::is_regular_file(path) || fs::file_size(path) == 0) return;
  const Problem old = problem_of(path);
  try {
    require_same_problem(path, old, problem);
  } catch (const Error&) {
    return;
  }
  int number = 1;
  while (fs::exists(fmt::format("{}.{}", path, number))) ++number;
  const std::string kept = fmt::format("{}.{}", path, number);
  fs::rename(path, kept);
  keep_states(path, kept);
  log::info("the trace of the earlier run is now {}", kept);
}

}  // namespace

/// Rank 0 has the file; the others only take part in collective calls.
struct Trace::State {
  const parallel::Communicator& comm;
  std::string path;
  TraceHeader header;
  double flush_seconds;
  std::unique_ptr<hdf5::File> file;
  std::vector<nonlinear::IterationRecord> waiting;
  Stopwatch since_flush;

  void create();
  void create_iterations();
  void write_waiting();
  template <typename T, typename Get>
  void append_column(const std::string& name, Get get);
  void append_seconds(const std::string& name,
                      std::map<std::string, double> nonlinear::IterationRecord::*field);
};

void Trace::State::create() {
  StartedFile started(path);
  file = std::make_unique<hdf5::File>(started.create());
  write_provenance(*file, kTraceFormat, header.provenance);
  write_problem(*file, header.problem);
  write_layout(*file, header.layout);
  create_iterations();
  file->create_group("/outcome");
  file->set("/outcome", "status", std::string("running"));
  file->set("/outcome", "iterations_before", header.iterations_before.value_or(0));
  if (header.states.kind != StateSelection::Kind::none) {
    file->link_external("/states", fs::path(states_path(path)).filename().string(), "/");
  }
  file->start_single_writer();
  file->flush();
  if (header.iterations_before) keep_older(path, header.problem);
  started.place(file.get());
}

void Trace::State::create_iterations() {
  const std::vector<std::string> by_iteration{"iteration"};
  file->create_extendible<double>("/iterations/residual", {},
                                  {"largest residual of any step", by_iteration, ""});
  file->create_extendible<double>("/iterations/step_norm", {},
                                  {"largest entry of the update that led here", by_iteration, ""});
  file->create_extendible<Index>("/iterations/frozen_prefix", {},
                                 {"leading states that are exact", by_iteration, ""});
  file->create_extendible<Index>("/iterations/ksp_iterations", {},
                                 {"iterations of the linear solve", by_iteration, ""});
  const auto stages = static_cast<Index>(header.stages.size());
  const std::vector<std::string> by_stage{"iteration", "stage"};
  file->create_extendible<double>("/iterations/seconds", {stages},
                                  {"time by stage, maximum over ranks", by_stage, "s"});
  file->create_extendible<double>("/iterations/seconds_min", {stages},
                                  {"time by stage, minimum over ranks", by_stage, "s"});
  file->set("/iterations/seconds", "stages", header.stages);
  file->set("/iterations/seconds_min", "stages", header.stages);
  const std::vector<std::string> by_level{"iteration", "level"};
  file->create_extendible<Index>("/iterations/messages", {0},
                                 {"messages sent by all ranks, by reduction level", by_level, ""});
  file->create_extendible<Index>("/iterations/bytes", {0},
                                 {"bytes sent by all ranks, by reduction level", by_level, "B"});
}

template <typename T, typename Get>
void Trace::State::append_column(const std::string& name, Get get) {
  std::vector<T> column;
  for (const auto& record : waiting) column.push_back(static_cast<T>(get(record)));
  file->append<T>(name, static_cast<Index>(column.size()), {}, column.data());
}

void Trace::State::append_seconds(
    const std::string& name, std::map<std::string, double> nonlinear::IterationRecord::*field) {
  std::vector<double> rows;
  for (const auto& record : waiting) {
    const auto row = stage_columns(record.*field, header.stages);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  file->append<double>(name, static_cast<Index>(waiting.size()),
                       {static_cast<Index>(header.stages.size())}, rows.data());
}

void Trace::State::write_waiting() {
  using Record = nonlinear::IterationRecord;
  since_flush.restart();
  if (waiting.empty()) return;
  append_column<double>("/iterations/residual", [](const Record& r) { return r.residual; });
  append_column<double>("/iterations/step_norm", [](const Record& r) { return r.step_norm; });
  append_column<Index>("/iterations/frozen_prefix",
                       [](const Record& r) { return r.frozen_prefix; });
  append_column<Index>("/iterations/ksp_iterations",
                       [](const Record& r) { return r.ksp_iterations; });
  append_seconds("/iterations/seconds", &Record::seconds);
  append_seconds("/iterations/seconds_min", &Record::seconds_min);
  const auto count = static_cast<Index>(waiting.size());
  const auto messages = traffic_table(waiting, &parallel::Traffic::messages);
  const auto bytes = traffic_table(waiting, &parallel::Traffic::bytes);
  file->append<Index>("/iterations/messages", count, {messages.columns}, messages.values.data());
  file->append<Index>("/iterations/bytes", count, {bytes.columns}, bytes.values.data());
  waiting.clear();
  file->flush();
}

Trace::Trace(const parallel::Communicator& comm, const std::string& path, const TraceHeader& header,
             double flush_seconds)
    : state_(std::make_unique<State>(
          State{comm, link_target(path), header, flush_seconds, nullptr, {}, Stopwatch{}})) {
  state_->header.stages.push_back("other");
  parallel::agree(comm, [&] {
    if (comm.is_root()) state_->create();
  });
}

Trace::~Trace() = default;
Trace::Trace(Trace&&) noexcept = default;

void Trace::append(const nonlinear::IterationRecord& record) {
  parallel::agree(state_->comm, [&] {
    if (!state_->file) return;
    state_->waiting.push_back(record);
    const bool first = record.iteration == 0;
    if (first || state_->since_flush.seconds() >= state_->flush_seconds) state_->write_waiting();
  });
}

void Trace::outcome(const nonlinear::SolveReport& report,
                    const std::vector<std::string>& options_unused) {
  parallel::agree(state_->comm, [&] {
    if (!state_->file) return;
    state_->write_waiting();
    // A file with live readers takes no attributes: it is opened anew as an ordinary one.
    state_->file->close();
    hdf5::File& file = *state_->file = hdf5::File::open(state_->path, hdf5::File::Access::finish);
    file.set("/outcome", "status", std::string(to_string(report.status)));
    file.set("/outcome", "fallback", report.reason);
    file.set("/outcome", "method", report.method);
    file.set("/outcome", "linear", report.linear);
    file.set("/outcome", "chunks", report.chunks);
    file.set("/outcome", "path_evaluations", report.path.evaluations);
    file.set("/outcome", "path_products", report.path.products);
    file.set("/outcome", "iterations", Index{report.iterations});
    file.set("/outcome", "lyapunov", report.lyapunov);
    file.set("/outcome", "residual", report.residual);
    file.set("/outcome", "tolerance", report.tolerance);
    file.set("/outcome", "frozen_prefix", report.frozen_prefix);
    const auto total = report.seconds.find("total");
    file.set("/outcome", "seconds", total == report.seconds.end() ? 0.0 : total->second);
    file.set("/", "options_unused", options_unused);
    file.flush();
  });
}

void Trace::states(const sequence::Trajectory& trajectory) {
  const StateSelection& selection = state_->header.states;
  if (selection.kind == StateSelection::Kind::none) return;
  write_states_file(states_path(state_->path), state_->header.provenance, state_->header.problem,
                    selection.states(trajectory.layout().num_steps()), trajectory);
}

void Trace::flush() {
  parallel::agree(state_->comm, [&] {
    if (state_->file) state_->write_waiting();
  });
}

void Trace::close() {
  parallel::agree(state_->comm, [&] {
    if (!state_->file) return;
    state_->write_waiting();
    state_->file->close();
    state_->file.reset();
  });
}

std::string Trace::states_path(const std::string& path) {
  fs::path name(path);
  if (name.extension() == ".h5") name.replace_extension();
  return name.string() + ".states.h5";
}

}  // namespace deeppcr::io
