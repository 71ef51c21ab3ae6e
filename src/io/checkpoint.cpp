#include "deeppcr/io/checkpoint.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace fs = std::filesystem;

namespace {

/// How much of an array a rank reads at once when it verifies a file.
constexpr Index kVerifyBytes = Index{16} << 20;

Index entries_of(const hdf5::Shape& shape, std::size_t from_axis) {
  return std::accumulate(
      shape.begin() + static_cast<std::ptrdiff_t>(std::min(from_axis, shape.size())), shape.end(),
      Index{1}, std::multiplies<>());
}

/// Consecutive rows that one rank holds and their checksum; all below 2^53.
struct CheckedRows {
  double first, count, crc;
};

/// Those of all ranks, in the file's order. Collective.
std::vector<CheckedRows> gather_checked(const parallel::Communicator& comm,
                                        const CheckpointArray& array) {
  const Index row_entries = entries_of(array.shape, 1);
  std::vector<double> mine;
  for (const hdf5::Rows<const Real>& piece : array.pieces) {
    for (const StepRange range : piece.rows.ranges()) {
      const Real* data = piece.data + piece.rows.row(range.first) * row_entries;
      mine.push_back(static_cast<double>(range.first));
      mine.push_back(static_cast<double>(range.size()));
      mine.push_back(checksum(data, range.size() * row_entries));
    }
  }
  const std::vector<double> all = comm.gather_all(mine);
  std::vector<CheckedRows> parts;
  for (auto part = all.begin(); part != all.end(); part += 3)
    parts.push_back({part[0], part[1], part[2]});
  std::sort(parts.begin(), parts.end(),
            [](const CheckedRows& a, const CheckedRows& b) { return a.first < b.first; });
  return parts;
}

/// CRC-32 of a whole array from its pieces, whoever holds them: crc(ab) follows from crc(a), crc(b)
/// and the length of b. Also checks that the pieces are the rows, each once. Collective.
std::uint32_t combined_crc(const parallel::Communicator& comm, const CheckpointArray& array) {
  const Index row_bytes = entries_of(array.shape, 1) * static_cast<Index>(sizeof(Real));
  uLong crc = 0;
  Index next = 0;
  for (const CheckedRows& part : gather_checked(comm, array)) {
    const auto first = static_cast<Index>(part.first), count = static_cast<Index>(part.count);
    DEEPPCR_ASSERT(first == next, "row {} of {} follows row {}", first, array.name, next);
    crc = crc32_combine(crc, static_cast<uLong>(part.crc), static_cast<z_off_t>(count * row_bytes));
    next = first + count;
  }
  DEEPPCR_ASSERT(next == array.shape[0], "{} has rows 0..{} of {}", array.name, next,
                 array.shape[0]);
  return static_cast<std::uint32_t>(crc);
}

/// CRC-32 of a dataset as it is in the file; the ranks share the rows. Collective.
std::uint32_t stored_crc(const parallel::Communicator& comm, const hdf5::File& file,
                         const std::string& name) {
  hdf5::Shape shape;
  parallel::agree(comm, [&] { shape = file.shape(name); });
  DEEPPCR_ASSERT(!shape.empty(), "{} of '{}' is a scalar", name, file.path());
  const Index row_entries = entries_of(shape, 1);
  const StepRange rows = parallel::BlockLayout::balanced(shape[0], comm.size()).range(comm.rank());
  const Index at_once = std::max<Index>(
      1, kVerifyBytes / std::max<Index>(row_entries * static_cast<Index>(sizeof(Real)), 1));
  const Index rounds = comm.max((rows.size() + at_once - 1) / at_once);
  Buffer<Real> values(std::min(at_once, rows.size()) * row_entries);
  uLong crc = 0;
  for (Index i = 0; i < rounds; ++i) {
    const Index first = std::min(rows.first + i * at_once, rows.last);
    const Index count = std::min(at_once, rows.last - first);
    file.read_rows<Real>(name, {{first, count, values.data()}});
    const Index bytes = count * row_entries * static_cast<Index>(sizeof(Real));
    crc = crc32_combine(crc, checksum(values.data(), count * row_entries),
                        static_cast<z_off_t>(bytes));
  }
  const auto crcs = comm.gather_all(static_cast<Index>(crc));
  const auto counts = comm.gather_all(rows.size());
  crc = 0;
  for (std::size_t p = 0; p < crcs.size(); ++p) {
    const Index bytes = counts[p] * row_entries * static_cast<Index>(sizeof(Real));
    crc = crc32_combine(crc, static_cast<uLong>(crcs[p]), static_cast<z_off_t>(bytes));
  }
  return static_cast<std::uint32_t>(crc);
}

void verify_array(const parallel::Communicator& comm, const hdf5::File& file,
                  const std::string& name) {
  std::string stored;
  parallel::agree(comm, [&] { stored = file.text(name, "crc32"); });
  const std::string found = fmt::format("{:08x}", stored_crc(comm, file, name));
  if (found != stored) {
    throw input_error("'{}' is damaged: the checksum of {} is {}, but {} was written", file.path(),
                      name, found, stored);
  }
}

void write_content(hdf5::File& file, const parallel::Communicator& comm,
                   const Provenance& provenance, const CheckpointContent& content) {
  write_provenance(file, kCheckpointFormat, provenance);
  write_problem(file, content.problem);
  file.create_group("/progress");
  file.set("/progress", "iteration", content.progress.iteration);
  file.set("/progress", "residual", content.progress.residual);
  file.set("/progress", "elapsed_seconds", content.progress.elapsed_seconds);
  file.set("/progress", "frozen_prefix", content.progress.frozen_prefix);
  file.set("/progress", "saved", utc_now());
  std::vector<std::string> names;
  for (const CheckpointArray& array : content.arrays) {
    std::uint32_t crc = 0;
    parallel::agree(comm, [&] { crc = combined_crc(comm, array); });
    file.write_rows<Real>(array.name, array.shape, array.pieces, array.about);
    file.set(array.name, "crc32", fmt::format("{:08x}", crc));
    names.push_back(array.name);
  }
  file.set("/", "arrays", names);
}

/// Opens and checks everything; the file is closed on all ranks when it is refused.
hdf5::File open_verified(const parallel::Communicator& comm, const std::string& path) {
  hdf5::File file = hdf5::File::open(path, hdf5::File::Access::read, comm);
  try {
    std::vector<std::string> names;
    parallel::agree(comm, [&] {
      require_format(file, kCheckpointFormat);
      names = file.texts("/", "arrays");
    });
    for (const std::string& name : names) verify_array(comm, file, name);
  } catch (const Error& error) {
    if (error.seen() == Error::Seen::everywhere) file.close();
    throw;
  }
  return file;
}

/// Damaged files make room for the next checkpoint, which must not push an intact one out.
void set_aside(const std::vector<std::string>& damaged) {
  for (const std::string& path : damaged) {
    const std::string kept = path + ".damaged";
    if (::rename(path.c_str(), kept.c_str()) == 0) log::warn("'{}' is now '{}'", path, kept);
  }
}

/// path, path.1, path.2, ..; gaps are passed over.
std::vector<std::string> candidates_of(const std::string& path) {
  const fs::path target(path);
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const std::string name = target.filename().string();
  std::vector<std::pair<long, std::string>> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const std::string other = entry.path().filename().string();
    if (other == name) {
      found.emplace_back(0, path);
    } else if (other.size() > name.size() + 1 &&
               other.compare(0, name.size() + 1, name + ".") == 0 &&
               std::all_of(other.begin() + static_cast<std::ptrdiff_t>(name.size()) + 1,
                           other.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) {
      const std::string number = other.substr(name.size() + 1);
      found.emplace_back(std::strtol(number.c_str(), nullptr, 10), path + "." + number);
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> paths;
  for (auto& [age, file] : found) paths.push_back(std::move(file));
  return paths;
}

/// Of a run that is writing now, or was killed.
bool is_by_the_way(const fs::path& file) {
  return file.extension() == ".tmp" || file.extension() == ".lock";
}

/// All checkpoints in a folder, the last written first.
std::vector<std::string> candidates_in(const std::string& folder) {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (!entry.is_regular_file(code) || is_by_the_way(entry.path())) continue;
    try {
      const auto file = hdf5::File::open(entry.path().string(), hdf5::File::Access::read);
      if (format_of(file) == kCheckpointFormat.name) {
        found.emplace_back(entry.last_write_time(code), entry.path().string());
      }
    } catch (const Error& error) {
      if (entry.path().filename().string().find(".h5") != std::string::npos) {
        log::warn("passed over: {}", error.what());
      }
    }
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> paths;
  for (auto& [time, file] : found) paths.push_back(std::move(file));
  return paths;
}

}  // namespace

std::uint32_t checksum(const Real* data, Index entries) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(data),
                                            static_cast<std::size_t>(entries) * sizeof(Real)));
}

CheckpointArray state_array(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
                            ConstState input, const Real* local_states) {
  CheckpointArray array;
  array.name = "/state/z";
  array.shape = {layout.num_steps() + 1, input.extent(0), input.extent(1)};
  if (comm.is_root()) array.pieces.push_back({0, 1, input.data()});
  array.pieces.emplace_back(layout.written_steps(comm.rank()).shifted(1), local_states);
  array.about = {"states z_0..z_L of the chain", {"state", "sample", "component"}, ""};
  return array;
}

void save_checkpoint(const parallel::Communicator& comm, const std::string& name, int keep,
                     const Provenance& provenance, const CheckpointContent& content) {
  const std::string path = link_target(name);
  ReplacingFile target(comm, path);
  target.guarded([&] { write_content(target.file(), comm, provenance, content); });
  target.finish();
  open_verified(comm, temporary_name(path)).close();
  target.place([&] {
    for (const FileMove& move : rotation(path, keep)) apply(move);
  });
}

Checkpoint::Checkpoint(const parallel::Communicator& comm, const std::string& path)
    : comm_(comm), file_(open_verified(comm, path)) {
  parallel::agree(comm, [&] {
    problem_ = read_problem(file_);
    progress_ = {file_.integer("/progress", "iteration"), file_.number("/progress", "residual"),
                 file_.number("/progress", "elapsed_seconds")};
    if (file_.has_attribute("/progress", "frozen_prefix"))  // older ones have none
      progress_.frozen_prefix = file_.integer("/progress", "frozen_prefix");
    arrays_ = file_.texts("/", "arrays");
  });
}

void Checkpoint::read(const std::string& name, const std::vector<hdf5::Rows<Real>>& pieces) const {
  file_.read_rows<Real>(name, pieces);
}

void Checkpoint::read_state(sequence::Trajectory& trajectory) const {
  read("/state/z", {{0, 1, trajectory.input().data()},
                    {trajectory.local_steps().shifted(1), trajectory.states().data()}});
  trajectory.touched();
}

std::optional<std::string> find_newest_intact(const parallel::Communicator& comm,
                                              const std::string& path) {
  std::vector<std::string> candidates;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    candidates = fs::is_directory(path) ? candidates_in(path) : candidates_of(link_target(path));
  });
  Index count = static_cast<Index>(candidates.size());
  comm.broadcast(count, 0);
  candidates.resize(static_cast<std::size_t>(count));
  std::vector<std::string> damaged;
  for (std::string& candidate : candidates) {
    comm.broadcast(candidate, 0);
    try {
      open_verified(comm, candidate).close();
      if (comm.is_root()) set_aside(damaged);
      return candidate;
    } catch (const Error& error) {
      if (error.seen() != Error::Seen::everywhere) throw;
      log::warn("passed over: {}", error.what());
      damaged.push_back(candidate);
    }
  }
  if (damaged.empty()) return std::nullopt;
  throw input_error(
      "none of {} is an intact checkpoint; to start afresh leave --restart out, or give another "
      "--checkpoint",
      fmt::join(damaged, ", "));
}

std::vector<FileMove> rotation(const std::string& path, int keep) {
  const auto older = [&](int age) { return age == 0 ? path : fmt::format("{}.{}", path, age); };
  std::vector<FileMove> moves;
  for (int age = keep - 1; age > 1; --age) {
    moves.push_back({FileMove::Kind::rename, older(age - 1), older(age)});
  }
  // A second name, not a move: `path` itself is never without a whole file.
  if (keep > 1) moves.push_back({FileMove::Kind::link_or_rename, path, older(1)});
  moves.push_back({FileMove::Kind::rename, temporary_name(path), path});
  return moves;
}

void apply(const FileMove& move) {
  if (move.kind == FileMove::Kind::link_or_rename) {
    // By way of a temporary name, because a rename replaces and a link does not.
    const std::string name = temporary_name(move.to);
    remove_quietly(name);
    if (::link(move.from.c_str(), name.c_str()) == 0) {
      const bool replaced = ::rename(name.c_str(), move.to.c_str()) == 0;
      remove_quietly(name);
      if (replaced) return;
    }
  }
  if (::rename(move.from.c_str(), move.to.c_str()) != 0 && errno != ENOENT) {
    throw internal_error("cannot rename '{}' to '{}': {}", move.from, move.to,
                         std::strerror(errno));
  }
}

}  // namespace deeppcr::io
