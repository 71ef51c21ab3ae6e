#include <algorithm>
#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/trace.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

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

void check_sizes(const std::string& path, const hdf5::Shape& found,
                 const sequence::Trajectory& trajectory) {
  const hdf5::Shape wanted{trajectory.layout().num_steps() + 1, trajectory.batch(),
                           trajectory.width()};
  if (found == wanted) return;
  throw local_input_error("'{}' has states [{}], but this run needs [L + 1, B, n] = [{}]", path,
                          fmt::join(found, ", "), fmt::join(wanted, ", "));
}

}  // namespace

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
