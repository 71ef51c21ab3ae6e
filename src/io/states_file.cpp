#include "states_file.hpp"

#include <algorithm>
#include <filesystem>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/trace.hpp"
#include "replace_file.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

/// The wanted states that this rank holds (z_0 on rank 0, states after its own steps), one after
/// another; they are consecutive rows of /z.
hdf5::Rows<const Real> own_rows(const std::vector<Index>& wanted,
                                const sequence::Trajectory& trajectory, Buffer<Real>& packed) {
  const StepRange range = trajectory.local_range();
  const Index entries = trajectory.batch() * trajectory.width();
  const Index first_state = trajectory.comm().is_root() ? 0 : range.first + 1;
  const auto first = std::lower_bound(wanted.begin(), wanted.end(), first_state);
  const auto last = std::lower_bound(wanted.begin(), wanted.end(), range.last + 1);
  if (first >= last) return {};
  packed.reset((last - first) * entries);
  Real* to = packed.data();
  for (auto state = first; state < last; ++state, to += entries) {
    const Real* from = *state == 0
                           ? trajectory.input().data()
                           : trajectory.states().data() + (*state - 1 - range.first) * entries;
    std::copy_n(from, entries, to);
  }
  return {first - wanted.begin(), last - first, packed.data()};
}

/// The same without a copy, where all states are wanted.
std::vector<hdf5::Rows<const Real>> all_own_rows(const sequence::Trajectory& trajectory) {
  const StepRange range = trajectory.local_range();
  std::vector<hdf5::Rows<const Real>> pieces;
  if (trajectory.comm().is_root()) pieces.push_back({0, 1, trajectory.input().data()});
  pieces.push_back({range.first + 1, range.size(), trajectory.states().data()});
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
  Buffer<Real> packed;
  const bool all = count == trajectory.layout().num_steps() + 1;
  const auto pieces =
      all ? all_own_rows(trajectory)
          : std::vector<hdf5::Rows<const Real>>{own_rows(wanted, trajectory, packed)};
  ReplacingFile target(comm, path);
  hdf5::File& file = target.file();
  target.guarded([&] {
    write_provenance(file, kStatesFormat, provenance);
    write_problem(file, problem);
    file.write_rows<Real>("/z", {count, trajectory.batch(), trajectory.width()}, pieces,
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
  throw input_error("'{}' does not say which states to keep: all, last, none or every:k with k > 0",
                    text);
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
  const StepRange range = trajectory.local_range();
  file.read_rows<Real>(stored.dataset,
                       {{range.first + 1, range.size(), trajectory.states().data()}});
  file.close();
  trajectory.touched();
}

}  // namespace deeppcr::io
