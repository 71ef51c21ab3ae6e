#include "deeppcr/io/checkpoint.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "io/hdf5_detail.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace {

/// How much of an array a rank reads at once when it verifies a file.
constexpr Index kVerifyBytes = Index{16} << 20;

/// Checksums of rows that follow each other, three numbers each, all below 2^53: the first row, how
/// many, and their CRC-32.
using Checksums = std::vector<double>;

void add_checksum(Checksums& to, Index first, Index rows, Index row_entries, const Real* data) {
  to.insert(to.end(), {static_cast<double>(first), static_cast<double>(rows),
                       static_cast<double>(checksum(data, rows * row_entries))});
}

/// CRC-32 of a whole array in hexadecimal digits from those of its parts, whoever holds them:
/// crc(ab) follows from crc(a), crc(b) and the length of b. Also checks that the parts are the
/// rows, each once. Collective.
std::string joined_checksum(const parallel::Communicator& comm, const std::string& name,
                            const hdf5::Shape& shape, const Checksums& mine) {
  const std::vector<double> all = comm.gather_all(mine);
  std::vector<std::array<double, 3>> parts;
  for (auto at = all.begin(); at != all.end(); at += 3) parts.push_back({at[0], at[1], at[2]});
  std::sort(parts.begin(), parts.end());
  const double row_bytes = static_cast<double>(hdf5::row_entries(shape)) * sizeof(Real);
  uLong crc = 0;
  double next = 0;
  for (const auto& [first, rows, part] : parts) {
    DEEPPCR_ASSERT(first == next, "row {} of {} follows row {}", first, name, next);
    crc = crc32_combine(crc, static_cast<uLong>(part), static_cast<z_off_t>(rows * row_bytes));
    next = first + rows;
  }
  DEEPPCR_ASSERT(next == static_cast<double>(shape[0]), "{} has rows 0..{} of {}", name, next,
                 shape[0]);
  return fmt::format("{:08x}", crc);
}

std::string checksum_of(const parallel::Communicator& comm, const CheckpointArray& array) {
  const Index row_entries = hdf5::row_entries(array.shape);
  Checksums mine;
  for (const hdf5::Rows<const Real>& piece : array.pieces) {
    for (const StepRange range : piece.rows.ranges()) {
      const Real* data = piece.data + piece.rows.row(range.first) * row_entries;
      add_checksum(mine, range.first, range.size(), row_entries, data);
    }
  }
  return joined_checksum(comm, array.name, array.shape, mine);
}

/// That of a dataset as it is in the file; the ranks share the rows. Collective.
std::string stored_checksum(const parallel::Communicator& comm, const hdf5::File& file,
                            const std::string& name) {
  hdf5::Shape shape;
  parallel::agree(comm, [&] {
    shape = file.shape(name);
    DEEPPCR_ASSERT(!shape.empty(), "{} of '{}' is a scalar", name, file.path());
  });
  const Index row_entries = hdf5::row_entries(shape);
  const StepRange rows = parallel::BlockLayout::balanced(shape[0], comm.size()).range(comm.rank());
  const Index at_once = std::max<Index>(
      1, kVerifyBytes / std::max<Index>(row_entries * static_cast<Index>(sizeof(Real)), 1));
  std::vector<StepSet> pieces = StepSet(rows).cut(at_once);
  pieces.resize(static_cast<std::size_t>(comm.max(static_cast<Index>(pieces.size()))));
  Buffer<Real> values(std::min(at_once, rows.size()) * row_entries);
  Checksums mine;
  for (const StepSet& piece : pieces) {
    file.read_rows<Real>(name, {{piece, values.data()}});
    if (!piece.empty()) add_checksum(mine, piece.step(0), piece.size(), row_entries, values.data());
  }
  return joined_checksum(comm, name, shape, mine);
}

void verify_array(const parallel::Communicator& comm, const hdf5::File& file,
                  const std::string& name) {
  std::string stored;
  parallel::agree(comm, [&] { stored = file.text(name, "crc32"); });
  const std::string found = stored_checksum(comm, file, name);
  if (found != stored) {
    throw input_error("'{}' is damaged: the checksum of {} is {}, but {} was written", file.path(),
                      name, found, stored);
  }
}

void write_content(hdf5::File& file, const parallel::Communicator& comm,
                   const Provenance& provenance, const CheckpointContent& content) {
  write_provenance(file, file_format::kCheckpoint, provenance);
  write_problem(file, content.problem);
  file.create_group("/progress");
  file.set_all("/progress", {{"iteration", content.progress.iteration},
                             {"residual", content.progress.residual},
                             {"elapsed_seconds", content.progress.elapsed_seconds},
                             {"frozen_prefix", content.progress.frozen_prefix},
                             {"saved", utc_now()}});
  std::vector<std::string> names;
  for (const CheckpointArray& array : content.arrays) {
    file.write_rows<Real>(array.name, array.shape, array.pieces, array.about);
    std::string crc;
    parallel::agree(comm, [&] { crc = checksum_of(comm, array); });
    file.set(array.name, "crc32", crc);
    names.push_back(array.name);
  }
  file.set("/", "arrays", names);
}

/// Opens and checks everything; the file is closed on all ranks when it is refused.
hdf5::File open_verified(const parallel::Communicator& comm, const std::string& path) {
  hdf5::File file = hdf5::File::open(path, hdf5::File::Access::read, &comm);
  try {
    std::vector<std::string> names;
    parallel::agree(comm, [&] {
      require_format(file, file_format::kCheckpoint);
      names = file.texts("/", "arrays");
    });
    for (const std::string& name : names) verify_array(comm, file, name);
  } catch (const Error& error) {
    if (error.seen() == Error::Seen::everywhere) file.close();
    throw;
  }
  return file;
}

}  // namespace

std::uint32_t checksum(const Real* data, Index entries) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(data),
                                            static_cast<std::size_t>(entries) * sizeof(Real)));
}

std::uint32_t file_checksum(const parallel::Communicator& comm, const std::string& path) {
  constexpr std::size_t kPiece = std::size_t{1} << 22;
  std::vector<Index> crc{0};
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    std::ifstream file(path, std::ios::binary);
    std::vector<char> piece(kPiece);
    uLong all = 0;
    while (file) {
      file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      all = crc32_z(all, reinterpret_cast<const Bytef*>(piece.data()),
                    static_cast<std::size_t>(file.gcount()));
    }
    if (!file.eof()) throw local_input_error("'{}' cannot be read", path);
    crc[0] = static_cast<Index>(all);
  });
  comm.broadcast(crc, 0);
  return static_cast<std::uint32_t>(crc[0]);
}

CheckpointArray state_array(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
                            ConstState input, const Real* local_states) {
  CheckpointArray array;
  array.name = "/state/z";
  array.shape = {layout.num_steps() + 1, input.extent(0), input.extent(1)};
  if (comm.is_root()) array.pieces.push_back({0, 1, input.data()});
  array.pieces.emplace_back(layout.written_steps(comm.rank()).shifted(1), local_states);
  array.about = {"states z_0..z_L of the chain", {"state", "sample", "component"}};
  return array;
}

void save_checkpoint(const parallel::Communicator& comm, const std::string& name,
                     const Provenance& provenance, const CheckpointContent& content) {
  replace_file(
      comm, name, [&](hdf5::File& file) { write_content(file, comm, provenance, content); },
      [&](const std::string& written) { open_verified(comm, written).close(); }, Older::kept);
}

Checkpoint::Checkpoint(const parallel::Communicator& comm, const std::string& path)
    : file_(open_verified(comm, path)) {
  parallel::agree(comm, [&] {
    problem_ = read_problem(file_);
    progress_ = {file_.integer("/progress", "iteration"), file_.number("/progress", "residual"),
                 file_.number("/progress", "elapsed_seconds")};
    if (file_.has_attribute("/progress", "frozen_prefix"))  // older ones have none
      progress_.frozen_prefix = file_.integer("/progress", "frozen_prefix");
  });
}

void Checkpoint::read_state(sequence::Trajectory& trajectory) const {
  file_.read_rows<Real>("/state/z",
                        {{0, 1, trajectory.input().data()},
                         {trajectory.local_steps().shifted(1), trajectory.states().data()}});
  trajectory.touched();
}

std::optional<std::string> find_newest_intact(const parallel::Communicator& comm,
                                              const std::string& name) {
  const std::string path = link_target(name);
  std::vector<std::string> damaged;
  for (const std::string& candidate : {path, older_name(path)}) {
    std::error_code ignored;
    if (!comm.any(comm.is_root() && std::filesystem::exists(candidate, ignored))) continue;
    try {
      open_verified(comm, candidate).close();
    } catch (const Error& error) {
      if (error.seen() != Error::Seen::everywhere) throw;
      log::warn("passed over: {}", error.what());
      damaged.push_back(candidate);
      continue;
    }
    // Damaged ones make room for the next checkpoint, which must not push an intact one out.
    for (const std::string& old : damaged)
      if (comm.is_root()) set_damaged_aside(old);
    return candidate;
  }
  if (damaged.empty()) return std::nullopt;
  throw input_error(
      "none of {} is an intact checkpoint; to start afresh leave --restart out, or give another "
      "--checkpoint",
      fmt::join(damaged, ", "));
}

}  // namespace deeppcr::io
