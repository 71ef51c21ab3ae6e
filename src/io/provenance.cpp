#include "deeppcr/io/provenance.hpp"

#include <fmt/chrono.h>
#include <zlib.h>

#include <chrono>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "git_commit.hpp"

namespace deeppcr::io {

const Format kTraceFormat{file_format::kTrace, 1};
const Format kStatesFormat{file_format::kStates, 1};
const Format kCheckpointFormat{file_format::kCheckpoint, 1};
const Format kWeightsFormat{file_format::kWeights, 1};
const Format kResultsFormat{file_format::kResults, 1};

namespace {

void require_equal(const std::string& path, const char* what, Index stored, Index run) {
  if (stored == run) return;
  throw input_error("'{}' was written with {} = {}, but this run has {}", path, what, stored, run);
}

}  // namespace

Provenance Provenance::collect(const parallel::Communicator& comm) {
  Provenance here;
  here.program_version = io::program_version();
  here.git_commit = io::git_commit();
  here.library_versions = {
      "HDF5 " + hdf5::version(),
      "PETSc " + parallel::petsc_version(),
      "MPI " + parallel::mpi_version(),
      fmt::format("zlib {}", zlibVersion()),
  };
  here.ranks = comm.size();
  here.hosts = parallel::host_names(comm);
  here.start_time = utc_now();
  comm.broadcast(here.start_time, 0);
  return here;
}

void write_provenance(hdf5::File& file, const Format& format, const Provenance& provenance) {
  file.set("/", "format", format.name);
  file.set("/", "format_version", format.version);
  file.set("/", "program_version", provenance.program_version);
  file.set("/", "git_commit", provenance.git_commit);
  file.set("/", "command_line", provenance.command_line);
  file.set("/", "options_set", provenance.options_set);
  file.set("/", "options_unused", provenance.options_unused);
  file.set("/", "configuration", provenance.configuration);
  file.set("/", "library_versions", provenance.library_versions);
  file.set("/", "ranks", provenance.ranks);
  file.set("/", "hosts", provenance.hosts);
  file.set("/", "start_time", provenance.start_time);
}

Provenance read_provenance(const hdf5::File& file) {
  Provenance stored;
  stored.program_version = file.text("/", "program_version");
  stored.git_commit = file.text("/", "git_commit");
  stored.command_line = file.text("/", "command_line");
  stored.options_set = file.texts("/", "options_set");
  stored.options_unused = file.texts("/", "options_unused");
  stored.configuration = file.text("/", "configuration");
  stored.library_versions = file.texts("/", "library_versions");
  stored.ranks = file.integer("/", "ranks");
  stored.hosts = file.texts("/", "hosts");
  stored.start_time = file.text("/", "start_time");
  return stored;
}

std::string format_of(const hdf5::File& file) {
  return file.has_attribute("/", "format") ? file.text("/", "format") : "";
}

void require_format(const hdf5::File& file, const Format& format) {
  const std::string found = format_of(file);
  if (found != format.name) {
    throw input_error(
        "'{}' is not a {} file: {}", file.path(), format.name,
        found.empty() ? "it has no 'format' attribute" : fmt::format("its format is '{}'", found));
  }
  const Index version = file.integer("/", "format_version");
  if (version != format.version) {
    throw input_error("'{}' has {} version {}; this program reads version {}", file.path(),
                      format.name, version, format.version);
  }
}

void write_problem(hdf5::File& file, const Problem& problem) {
  file.create_group("/problem");
  file.set("/problem", "model", problem.model);
  file.set("/problem", "L", problem.num_steps);
  file.set("/problem", "B", problem.batch);
  file.set("/problem", "n", problem.width);
  file.set("/problem", "seed", problem.seed);
  if (problem.function != 0) file.set("/problem", "function", problem.function);
}

Problem read_problem(const hdf5::File& file) {
  return {file.text("/problem", "model"),
          file.integer("/problem", "L"),
          file.integer("/problem", "B"),
          file.integer("/problem", "n"),
          file.integer("/problem", "seed"),
          file.has_attribute("/problem", "function") ? file.integer("/problem", "function") : 0};
}

void require_same_problem(const std::string& path, const Problem& stored, const Problem& run) {
  if (stored.model != run.model) {
    throw input_error("'{}' was written with model {}, but this run has {}", path, stored.model,
                      run.model);
  }
  require_equal(path, "L (steps)", stored.num_steps, run.num_steps);
  require_equal(path, "B (batch)", stored.batch, run.batch);
  require_equal(path, "n (width)", stored.width, run.width);
  require_equal(path, "the seed", stored.seed, run.seed);
  if (stored.function == 0 || run.function == 0 || stored.function == run.function) return;
  throw input_error(
      "'{}' was written with another network: the file of that name holds other parameters now; "
      "give "
      "the network of that run, or start afresh without --restart",
      path);
}

std::string program_version() { return DEEPPCR_VERSION; }

std::string git_commit() { return DEEPPCR_GIT_COMMIT; }

std::string utc_now() {
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

}  // namespace deeppcr::io
