#pragma once

#include <functional>
#include <string>

#include "deeppcr/core/files.hpp"
#include "deeppcr/core/types.hpp"
#include "deeppcr/io/hdf5_types.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::io {

namespace hdf5 {
class File;
}

/// Where a file comes from: root attributes of every file that the program writes, by name. Those
/// of a run also have `command_line`, `configuration` (resolved, as the text that --config reads)
/// and `options_set` ("name = value").
using Provenance = hdf5::Attributes;

/// What the program knows by itself: `program_version`, `git_commit`, `library_versions`, `ranks`,
/// `hosts` (of each rank) and `start_time` (now; UTC, ISO 8601). Collective.
Provenance collect_provenance(const parallel::Communicator& comm);

/// Writes the root attributes: `format`, one of core's file_format, `format_version`, `provenance`,
/// and `options_unused` (none so far: set by the user, asked for by nobody).
void write_provenance(hdf5::File& file, const std::string& format, const Provenance& provenance);

/// Writes a file of that format, `body` what it holds. It takes its name only when it is whole;
/// what had that name before, through symbolic links, stays until then. Collective.
/// @throws Error (on all ranks) when the path cannot be written
void write_file(const parallel::Communicator& comm, const std::string& path,
                const std::string& format, const Provenance& provenance,
                const std::function<void(hdf5::File&)>& body);

/// The file's `format`; empty where it has none.
std::string format_of(const hdf5::File& file);
/// @throws Error when the file's format or version is another
void require_format(const hdf5::File& file, const std::string& format);

/// What was solved: attributes of /problem in traces and checkpoints.
struct Problem {
  std::string model;
  Index num_steps = 0;  ///< L
  Index batch = 0;      ///< B
  Index width = 0;      ///< n
  Index seed = 0;
  Index function = 0;  ///< checksum of a network that comes from a file; 0: not stored
  Index inputs = 0;    ///< checksum of the steps' inputs that come from a file; 0: not stored
};
void write_problem(hdf5::File& file, const Problem& problem);
Problem read_problem(const hdf5::File& file);
/// @throws Error that names the first difference
void require_same_problem(const std::string& path, const Problem& stored, const Problem& run);

std::string program_version();
/// "HDF5 1.10.8".
std::string hdf5_version();
/// Short commit of the sources, with "-dirty" where they were changed; "unknown" outside a
/// repository.
std::string git_commit();
/// "2026-01-31T12:00:00Z".
std::string utc_now();

}  // namespace deeppcr::io
