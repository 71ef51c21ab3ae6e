#include "io/states_file.hpp"

#include <algorithm>
#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/trace.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

/// The wanted states that this rank writes: z_0 on rank 0, states after its own steps.
std::vector<hdf5::Rows<const Real>> own_rows(const std::vector<Index>& wanted,
                                             const sequence::Trajectory& trajectory) {
  const StepSet steps = trajectory.layout().written_steps(trajectory.comm().rank());
  const Real* input = trajectory.comm().is_root() ? trajectory.input().data() : nullptr;
  const Real* states = trajectory.states().data();
  std::vector<hdf5::Rows<const Real>> pieces;
  const auto count = static_cast<Index>(wanted.size());
  if (count == trajectory.layout().num_steps() + 1) {  // all: as they lie in memory
    if (input != nullptr) pieces.push_back({0, 1, input});
    pieces.emplace_back(steps.shifted(1), states);
    return pieces;
  }
  const Index entries = trajectory.batch() * trajectory.width();
  for (Index row = 0; row < count; ++row) {
    const Index state = wanted[static_cast<std::size_t>(row)];
    if (state == 0 && input != nullptr) pieces.push_back({row, 1, input});
    if (state > 0 && steps.contains(state - 1))
      pieces.push_back({row, 1, states + steps.row(state - 1) * entries});
  }
  return pieces;
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
  if (format == kCheckpointFormat.name) return {path, "/state/z"};
  if (format == kStatesFormat.name) return {path, "/z"};
  if (format == kTraceFormat.name) {
    const std::string link = file.linked_file("/states");
    if (link.empty()) {
      throw local_input_error(
          "'{}' holds no states; write the trace with --trace-states all to start from it", path);
    }
    return {(fs::path(path).parent_path() / link).string(), "/z"};
  }
  throw local_input_error("'{}' is neither a trace nor a checkpoint of deeppcr", path);
}

void check_sizes(const std::string& path, const hdf5::Shape& found,
                 const sequence::Trajectory& trajectory) {
  const hdf5::Shape wanted{trajectory.layout().num_steps() + 1, trajectory.batch(),
                           trajectory.width()};
  if (found == wanted) return;
  if (found.size() != 3) {
    throw local_input_error("the states in '{}' have {} axes in place of 3", path, found.size());
  }
  throw local_input_error(
      "'{}' has states [{}, {}, {}], but this run needs [L + 1, B, n] = [{}, {}, {}]", path,
      found[0], found[1], found[2], wanted[0], wanted[1], wanted[2]);
}

}  // namespace

void write_states_file(const std::string& path, const Provenance& provenance,
                       const Problem& problem, const std::vector<Index>& wanted,
                       const sequence::Trajectory& trajectory) {
  const parallel::Communicator& comm = trajectory.comm();
  const auto count = static_cast<Index>(wanted.size());
  ReplacingFile target(comm, path);
  hdf5::File& file = target.file();
  target.guarded([&] {
    write_provenance(file, kStatesFormat, provenance);
    write_problem(file, problem);
    file.write_rows<Real>("/z", {count, trajectory.batch(), trajectory.width()},
                          own_rows(wanted, trajectory),
                          {"states of the chain", {"state", "sample", "component"}, ""});
    file.write<Index>("/state", {count}, wanted.data(),
                      {"number of each stored state, 0 the input", {"state"}, ""});
  });
  target.finish();
  target.place();
}

StateSelection StateSelection::parse(const std::string& text) {
  if (text == "all") return {Kind::all, 1};
  if (text == "last") return {Kind::last, 1};
  if (text == "none") return {Kind::none, 1};
  const std::string digits = text.rfind("every:", 0) == 0 ? text.substr(6) : "";
  const bool number = !digits.empty() && digits.size() < 18 &&
                      std::all_of(digits.begin(), digits.end(),
                                  [](unsigned char c) { return std::isdigit(c) != 0; });
  const Index stride = number ? std::stoll(digits) : 0;
  if (stride > 0) return {Kind::every, stride};
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

void read_guess(const std::string& path, sequence::Trajectory& trajectory) {
  const parallel::Communicator& comm = trajectory.comm();
  StoredStates stored;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    stored = locate(path);
    const auto file = hdf5::File::open(stored.file, hdf5::File::Access::read);
    check_sizes(stored.file, file.shape(stored.dataset), trajectory);
  });
  comm.broadcast(stored.file, 0);
  comm.broadcast(stored.dataset, 0);
  auto file = hdf5::File::open(stored.file, hdf5::File::Access::read, comm);
  file.read_rows<Real>(stored.dataset,
                       {{trajectory.local_steps().shifted(1), trajectory.states().data()}});
  file.close();
  trajectory.touched();
}

}  // namespace deeppcr::io
