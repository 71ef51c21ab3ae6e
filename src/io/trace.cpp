#include "deeppcr/io/trace.hpp"

#include <algorithm>
#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "io/hdf5_detail.hpp"
#include "io/live_file.hpp"
#include "io/states_file.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

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

/// Traffic of each level.
std::vector<double> level_columns(const parallel::TrafficByLevel& levels,
                                  Index parallel::Traffic::*field) {
  std::vector<double> columns;
  for (const auto& level : levels) columns.push_back(static_cast<double>(level.*field));
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
    log::warn("{}", error.what());
    set_damaged_aside(path);
    return {};
  }
}

/// Gives the trace of the run that this one goes on from the next free number. That of another
/// problem is no part of this history.
void keep_earlier(const std::string& path, const Problem& problem) {
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

/// /iterations, with times and traffic in axes of their own.
LiveTable iterations(const std::vector<std::string>& stages) {
  const auto stage_count = static_cast<Index>(stages.size());
  return {"/iterations",
          "iteration",
          {{"residual", "largest residual of any step"},
           {"step_norm", "largest entry of the update that led here"},
           {"frozen_prefix", "leading states that are exact", true},
           {"ksp_iterations", "iterations of the linear solve", true},
           {"seconds", "time by stage, maximum over ranks", false, "stage", stage_count, "s"},
           {"seconds_min", "time by stage, minimum over ranks", false, "stage", stage_count, "s"},
           {"messages", "messages sent by all ranks, by reduction level", true, "level", 0},
           {"bytes", "bytes sent by all ranks, by reduction level", true, "level", 0, "B"}}};
}

}  // namespace

/// Rank 0 has the file; the others only take part in collective calls.
struct Trace::State {
  const parallel::Communicator& comm;
  std::string path;
  TraceHeader header;
  std::unique_ptr<LiveFile> live;

  void create(double flush_seconds);
};

void Trace::State::create(double flush_seconds) {
  auto fresh =
      std::make_unique<LiveFile>(path, header.provenance, header.problem, header.layout,
                                 std::vector<LiveTable>{iterations(header.stages)}, flush_seconds);
  hdf5::File& file = fresh->file();
  for (const char* name : {"/iterations/seconds", "/iterations/seconds_min"})
    file.set(name, "stages", header.stages);
  file.set("/outcome", "iterations_before", header.iterations_before.value_or(0));
  if (header.states.kind != StateSelection::Kind::none)
    file.link_external("/states", fs::path(states_path(path)).filename().string(), "/");
  fresh->start();
  fresh->flush();
  if (header.iterations_before) keep_earlier(path, header.problem);
  fresh->place();
  live = std::move(fresh);
}

Trace::Trace(const parallel::Communicator& comm, const std::string& path, const TraceHeader& header,
             double flush_seconds)
    : state_(std::make_unique<State>(State{comm, link_target(path), header, nullptr})) {
  state_->header.stages.push_back("other");
  parallel::agree(comm, [&] {
    if (comm.is_root()) state_->create(flush_seconds);
  });
}

Trace::~Trace() = default;
Trace::Trace(Trace&&) noexcept = default;

void Trace::append(const nonlinear::IterationRecord& record) {
  parallel::agree(state_->comm, [&] {
    if (!state_->live) return;
    const std::vector<std::string>& stages = state_->header.stages;
    state_->live->append(0, {{record.residual},
                             {record.step_norm},
                             {static_cast<double>(record.frozen_prefix)},
                             {static_cast<double>(record.ksp_iterations)},
                             stage_columns(record.seconds, stages),
                             stage_columns(record.seconds_min, stages),
                             level_columns(record.levels, &parallel::Traffic::messages),
                             level_columns(record.levels, &parallel::Traffic::bytes)});
    if (record.iteration == 0) state_->live->flush();
  });
}

void Trace::outcome(const nonlinear::SolveReport& report,
                    const std::vector<std::string>& options_unused) {
  parallel::agree(state_->comm, [&] {
    if (!state_->live) return;
    const auto total = report.seconds.find("total");
    const std::vector<std::pair<const char*, hdf5::Value>> attributes{
        {"status", to_string(report.status)},
        {"fallback", report.reason},
        {"method", report.method},
        {"linear", report.linear},
        {"chunks", report.chunks},
        {"path_evaluations", report.path.evaluations},
        {"path_products", report.path.products},
        {"iterations", Index{report.iterations}},
        {"lyapunov", report.lyapunov},
        {"residual", report.residual},
        {"tolerance", report.tolerance},
        {"frozen_prefix", report.frozen_prefix},
        {"seconds", total == report.seconds.end() ? 0.0 : total->second}};
    hdf5::File& file = state_->live->end();
    for (const auto& [name, value] : attributes) file.set("/outcome", name, value);
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

void Trace::close() {
  parallel::agree(state_->comm, [&] {
    if (!state_->live) return;
    state_->live->flush();
    state_->live->file().close();
    state_->live.reset();
  });
}

std::string Trace::states_path(const std::string& path) {
  fs::path name(path);
  if (name.extension() == ".h5") name.replace_extension();
  return name.string() + ".states.h5";
}

}  // namespace deeppcr::io
