#include "deeppcr/io/trace.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "io/hdf5_detail.hpp"
#include "io/replace_file.hpp"

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

/// What a trace is of; its run may have been killed while it ended it. One that cannot be read at
/// all is of nothing, and gets another name.
Problem problem_of(const std::string& path) {
  for (const bool killed : {false, true}) {
    try {
      if (killed) hdf5::forget_writer(path);
      return read_problem(hdf5::File::open(path, hdf5::File::Access::read));
    } catch (const Error& error) {
      if (!killed) continue;
      log::warn("{}", error.what());
      set_damaged_aside(path);
    }
  }
  return {};
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

/// The wanted states that this rank writes: z_0 on rank 0, states after its own steps. All of them
/// are written as they lie in memory, of fewer those of a range of steps are put together.
struct OwnRows {
  std::vector<hdf5::Rows<const Real>> pieces;
  Buffer<Real> packed;
};

OwnRows own_rows(const std::vector<Index>& wanted, const sequence::Trajectory& trajectory) {
  const parallel::Communicator& comm = trajectory.comm();
  const Real* states = trajectory.states().data();
  OwnRows own;
  if (static_cast<Index>(wanted.size()) == trajectory.layout().num_steps() + 1) {
    own.pieces = state_array(comm, trajectory.layout(), trajectory.input(), states).pieces;
    return own;
  }
  const StepSet steps = trajectory.layout().written_steps(comm.rank());
  const Index entries = trajectory.batch() * trajectory.width();
  const auto row_of = [&](Index state) {  // the first row whose state is not before it
    return std::lower_bound(wanted.begin(), wanted.end(), state) - wanted.begin();
  };
  if (comm.is_root() && row_of(1) > 0) own.pieces.push_back({0, 1, trajectory.input().data()});
  std::vector<StepRange> rows;
  Index held = 0;
  for (const StepRange range : steps.ranges()) {
    rows.push_back({row_of(range.first + 1), row_of(range.last + 1)});
    held += rows.back().size();
  }
  own.packed.reset(held * entries);
  Real* to = own.packed.data();
  for (const StepRange range : rows) {
    if (!range.empty()) own.pieces.push_back({range.first, range.size(), to});
    for (Index row = range.first; row < range.last; ++row, to += entries) {
      const Index step = wanted[static_cast<std::size_t>(row)] - 1;
      std::copy_n(states + steps.row(step) * entries, entries, to);
    }
  }
  return own;
}

/// Which rank holds which steps: /layout/first_step, the first step of each rank (of a layout that
/// is not contiguous: of each range in the chain's order), then the number of steps; the latter
/// layouts have /layout/rank beside it.
void write_layout(hdf5::File& file, const parallel::BlockLayout& layout) {
  std::vector<Index> first_steps, ranks;
  if (layout.is_contiguous()) {
    first_steps = layout.first_steps();
  } else {
    for (const parallel::OwnedRange& part : layout.ranges()) {
      first_steps.push_back(part.steps.first);
      ranks.push_back(layout.is_replicated() ? -1 : part.owner);
    }
    first_steps.push_back(layout.num_steps());
    file.write<Index>("/layout/rank", {static_cast<Index>(ranks.size())}, ranks.data(),
                      {"rank that holds each range, -1 for all", {"range"}});
  }
  const std::string axis = layout.is_contiguous() ? "rank" : "range";
  file.write<Index>("/layout/first_step", {static_cast<Index>(first_steps.size())},
                    first_steps.data(),
                    {"first step of each " + axis + ", then the number of steps", {axis}});
}

/// /iterations of a solve, with times and traffic in axes of their own.
TraceTable iterations() {
  return {"/iterations",
          "iteration",
          {{"residual", "largest residual of any step"},
           {"step_norm", "largest entry of the update that led here"},
           {"frozen_prefix", "leading states that are exact", true},
           {"ksp_iterations", "iterations of the linear solve", true},
           {"seconds", "time by stage, maximum over ranks", false, "stage", "s"},
           {"seconds_min", "time by stage, minimum over ranks", false, "stage", "s"},
           {"messages", "messages sent by all ranks, by reduction level", true, "level"},
           {"bytes", "bytes sent by all ranks, by reduction level", true, "level", "B"}}};
}

/// Where a trajectory is found.
struct StoredStates {
  std::string file;
  std::string dataset;
};

/// Looks into a trace, a states file or a checkpoint. This rank alone.
StoredStates locate(const std::string& path) {
  const auto file = hdf5::File::open(path, hdf5::File::Access::read);
  const std::string format = format_of(file);
  if (format == file_format::kCheckpoint) return {path, "/state/z"};
  if (format == file_format::kStates) return {path, "/z"};
  if (format == file_format::kTrace) {
    const std::string link = file.linked_file("/states");
    if (link.empty()) {
      throw local_input_error(
          "'{}' holds no states; write the trace with --trace-states all to start from it", path);
    }
    return {(fs::path(path).parent_path() / link).string(), "/z"};
  }
  throw local_input_error("'{}' is neither a trace nor a checkpoint of deeppcr", path);
}

}  // namespace

StateSelection StateSelection::parse(const std::string& text) {
  if (text == "all") return {Kind::all, 1};
  if (text == "last") return {Kind::last, 1};
  if (text == "none") return {Kind::none, 1};
  const std::string every = "every:";
  const char* end = text.data() + text.size();
  Index stride = 0;
  const bool number = text.rfind(every, 0) == 0 &&
                      std::from_chars(text.data() + every.size(), end, stride).ptr == end;
  if (number && stride > 0) return {Kind::every, stride};
  throw input_error(
      "states '{}': allowed: all, last, none, every:K with K from 1, such as every:64", text);
}

std::vector<Index> StateSelection::states(Index num_steps) const {
  std::vector<Index> numbers;
  if (kind == Kind::last) numbers.push_back(num_steps);
  if (kind == Kind::all || kind == Kind::every) {
    for (Index state = 0; state <= num_steps; state += stride) numbers.push_back(state);
  }
  return numbers;
}

void Trace::begin(const std::string& temporary) {
  file_.emplace(hdf5::File::create(temporary));
  write_provenance(*file_, file_format::kTrace, header_.provenance);
  write_problem(*file_, header_.problem);
  file_->set_all("/problem", header_.more_of_problem);
  write_layout(*file_, header_.layout);
  for (const TraceTable& table : header_.tables) create(tables_.emplace_back(Table{table, {}, {}}));
  file_->create_group("/outcome");
  file_->set("/outcome", "status", "running");
  file_->set("/outcome", "iterations_before", header_.iterations_before.value_or(0));
  if (header_.states.kind != StateSelection::Kind::none)
    file_->link_external("/states", fs::path(states_path(path_)).filename().string(), "/");
  file_->start_single_writer();
  tables_[0].waiting = std::move(header_.rows);
  flush();
  if (header_.iterations_before) keep_earlier(path_, header_.problem);
}

void Trace::create(Table& table) {
  using Kind = hdf5::File::Kind;
  for (const TraceColumn& column : table.about.columns) {
    const std::string name = table.about.group + "/" + column.name;
    hdf5::Shape& row = table.row_shapes.emplace_back();
    hdf5::Description about{column.long_name, {table.about.axis}, column.units};
    const bool by_stage = column.axis == "stage";
    if (!column.axis.empty()) {
      row.push_back(by_stage ? static_cast<Index>(header_.stages.size()) : 0);
      about.dimensions.push_back(column.axis);
    }
    file_->create_extendible(name, column.whole ? Kind::whole : Kind::real, row, about);
    if (by_stage) file_->set(name, "stages", header_.stages);
  }
}

void Trace::write(Table& table) {
  std::vector<TraceRow>& rows = table.waiting;
  if (rows.empty()) return;
  for (std::size_t c = 0; c < table.row_shapes.size(); ++c) {
    hdf5::Shape& row_shape = table.row_shapes[c];
    Index width = row_shape.empty() ? 1 : row_shape[0];  // the widest row decides
    for (const TraceRow& row : rows) width = std::max(width, static_cast<Index>(row[c].size()));
    if (!row_shape.empty()) row_shape[0] = width;
    std::vector<double> values;
    for (const TraceRow& row : rows) {
      values.insert(values.end(), row[c].begin(), row[c].end());
      values.resize(values.size() + static_cast<std::size_t>(width) - row[c].size());
    }
    file_->append(table.about.group + "/" + table.about.columns[c].name,
                  static_cast<Index>(rows.size()), row_shape, values.data());
  }
  rows.clear();
}

Trace::Trace(const parallel::Communicator& comm, const std::string& path, TraceHeader header,
             double flush_seconds)
    : comm_(comm),
      path_(link_target(path)),
      header_(std::move(header)),
      flush_seconds_(flush_seconds) {
  if (header_.tables.empty()) {
    header_.tables = {iterations()};
    header_.stages.push_back("other");
  }
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    begin_file(path, [&](const std::string& temporary) { begin(temporary); });
    file_->renamed(path_);
  });
}

void Trace::append(std::size_t table, TraceRow row) {
  if (!file_) return;
  tables_[table].waiting.push_back(std::move(row));
  if (since_flush_.seconds() >= flush_seconds_) flush();
}

void Trace::append(const nonlinear::IterationRecord& record) {
  const std::vector<std::string>& stages = header_.stages;
  parallel::agree(comm_, [&] {
    append(0, {{record.residual},
               {record.step_norm},
               {static_cast<double>(record.frozen_prefix)},
               {static_cast<double>(record.ksp_iterations)},
               stage_columns(record.seconds, stages),
               stage_columns(record.seconds_min, stages),
               level_columns(record.levels, &parallel::Traffic::messages),
               level_columns(record.levels, &parallel::Traffic::bytes)});
    if (record.iteration == 0) flush();
  });
}

void Trace::flush() {
  if (!file_) return;
  for (Table& table : tables_) write(table);
  file_->flush();
  since_flush_.restart();
}

void Trace::outcome(const std::vector<std::string>& options_unused,
                    const std::function<void(hdf5::File&)>& body) {
  parallel::agree(comm_, [&] {
    if (!file_) return;
    flush();
    // A file with live readers takes no attributes: it is opened anew as an ordinary one.
    file_->close();
    hdf5::File& file = *file_ = hdf5::File::open(path_, hdf5::File::Access::finish);
    body(file);
    file.set("/", "options_unused", options_unused);
    file.flush();
  });
}

void Trace::outcome(const nonlinear::SolveReport& report,
                    const std::vector<std::string>& options_unused) {
  const auto total = report.seconds.find("total");
  outcome(options_unused, [&](hdf5::File& file) {
    file.set_all("/outcome", {{"status", to_string(report.status)},
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
                              {"seconds", total == report.seconds.end() ? 0.0 : total->second}});
  });
}

void Trace::states(const sequence::Trajectory& trajectory) {
  if (header_.states.kind == StateSelection::Kind::none) return;
  const std::vector<Index> wanted = header_.states.states(trajectory.layout().num_steps());
  const auto count = static_cast<Index>(wanted.size());
  const OwnRows own = own_rows(wanted, trajectory);
  write_file(
      comm_, states_path(path_), file_format::kStates, header_.provenance, [&](hdf5::File& file) {
        write_problem(file, header_.problem);
        file.write_rows<Real>("/z", {count, trajectory.batch(), trajectory.width()}, own.pieces,
                              {"states of the chain", {"state", "sample", "component"}});
        file.write<Index>("/state", {count}, wanted.data(),
                          {"number of each stored state, 0 the input", {"state"}});
      });
}

void Trace::close() {
  parallel::agree(comm_, [&] {
    if (!file_) return;
    flush();
    file_->close();
    file_.reset();
  });
}

std::string Trace::states_path(const std::string& path) {
  fs::path name(path);
  if (name.extension() == ".h5") name.replace_extension();
  return name.string() + ".states.h5";
}

void read_guess(const std::string& path, sequence::Trajectory& trajectory) {
  const parallel::Communicator& comm = trajectory.comm();
  StoredStates stored;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    stored = locate(path);
    const auto file = hdf5::File::open(stored.file, hdf5::File::Access::read);
    const hdf5::Shape found = file.shape(stored.dataset);
    const hdf5::Shape wanted{trajectory.layout().num_steps() + 1, trajectory.batch(),
                             trajectory.width()};
    if (found == wanted) return;
    throw local_input_error("'{}' has states [{}], but this run needs [L + 1, B, n] = [{}]",
                            stored.file, fmt::join(found, ", "), fmt::join(wanted, ", "));
  });
  comm.broadcast(stored.file, 0);
  comm.broadcast(stored.dataset, 0);
  auto file = hdf5::File::open(stored.file, hdf5::File::Access::read, &comm);
  file.read_rows<Real>(stored.dataset,
                       {{trajectory.local_steps().shifted(1), trajectory.states().data()}});
  file.close();
  trajectory.touched();
}

}  // namespace deeppcr::io
