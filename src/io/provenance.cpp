#include "deeppcr/io/provenance.hpp"

#include <fmt/chrono.h>
#include <zlib.h>

#include <chrono>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "git_commit.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {

namespace {

/// Of all files; another one where one of their layouts changes.
constexpr Index kFormatVersion = 1;

}  // namespace

Provenance collect_provenance(const parallel::Communicator& comm) {
  std::string start_time = utc_now();
  comm.broadcast(start_time, 0);  // attributes are written by all ranks alike
  return {{"program_version", program_version()},
          {"git_commit", git_commit()},
          {"library_versions",
           std::vector<std::string>{hdf5_version(), "PETSc " + parallel::petsc_version(),
                                    "MPI " + parallel::mpi_version(),
                                    fmt::format("zlib {}", zlibVersion())}},
          {"ranks", Index{comm.size()}},
          {"hosts", parallel::host_names(comm)},
          {"start_time", start_time}};
}

void write_provenance(hdf5::File& file, const std::string& format, const Provenance& provenance) {
  file.set_all("/", {{"format", format},
                     {"format_version", kFormatVersion},
                     {"options_unused", std::vector<std::string>{}}});
  file.set_all("/", provenance);
}

void write_file(const parallel::Communicator& comm, const std::string& path,
                const std::string& format, const Provenance& provenance,
                const std::function<void(hdf5::File&)>& body) {
  replace_file(comm, path, [&](hdf5::File& file) {
    write_provenance(file, format, provenance);
    body(file);
  });
}

std::string format_of(const hdf5::File& file) {
  return file.has_attribute("/", "format") ? file.text("/", "format") : "";
}

void require_format(const hdf5::File& file, const std::string& format) {
  const std::string found = format_of(file);
  if (found != format) {
    throw input_error(
        "'{}' is not a {} file: {}", file.path(), format,
        found.empty() ? "it has no 'format' attribute" : fmt::format("its format is '{}'", found));
  }
  const Index version = file.integer("/", "format_version");
  if (version != kFormatVersion) {
    throw input_error("'{}' has {} version {}; this program reads version {}", file.path(), format,
                      version, kFormatVersion);
  }
}

namespace {

constexpr std::pair<const char*, Index Problem::*> kChecksums[] = {{"function", &Problem::function},
                                                                   {"inputs", &Problem::inputs}};

/// Both are known, and differ.
bool differ(Index stored, Index run) { return stored != 0 && run != 0 && stored != run; }

}  // namespace

void write_problem(hdf5::File& file, const Problem& problem) {
  file.create_group("/problem");
  file.set_all("/problem", {{"model", problem.model},
                            {"L", problem.num_steps},
                            {"B", problem.batch},
                            {"n", problem.width},
                            {"seed", problem.seed}});
  for (const auto& [name, checksum] : kChecksums)
    if (problem.*checksum != 0) file.set("/problem", name, problem.*checksum);
}

Problem read_problem(const hdf5::File& file) {
  Problem problem{file.text("/problem", "model"), file.integer("/problem", "L"),
                  file.integer("/problem", "B"), file.integer("/problem", "n"),
                  file.integer("/problem", "seed")};
  for (const auto& [name, checksum] : kChecksums)
    if (file.has_attribute("/problem", name)) problem.*checksum = file.integer("/problem", name);
  return problem;
}

void require_same_problem(const std::string& path, const Problem& stored, const Problem& run) {
  if (stored.model != run.model) {
    throw input_error("'{}' was written with model {}, but this run has {}", path, stored.model,
                      run.model);
  }
  const std::vector<std::pair<const char*, Index Problem::*>> numbers{
      {"L (steps)", &Problem::num_steps},
      {"B (batch)", &Problem::batch},
      {"n (width)", &Problem::width},
      {"the seed", &Problem::seed}};
  for (const auto& [what, number] : numbers) {
    if (stored.*number == run.*number) continue;
    throw input_error("'{}' was written with {} = {}, but this run has {}", path, what,
                      stored.*number, run.*number);
  }
  if (differ(stored.function, run.function))
    throw input_error(
        "'{}' was written with another network, or with another sampler or condition of one; give "
        "the "
        "files and options of that run, or start afresh without --restart",
        path);
  if (differ(stored.inputs, run.inputs))
    throw input_error(
        "'{}' was written with other inputs; give the --input (of the same content), --frame and "
        "--features of that run, or start afresh without --restart",
        path);
}

std::string program_version() { return DEEPPCR_VERSION; }

std::string hdf5_version() {
  return fmt::format("HDF5 {}.{}.{}", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
}

std::string git_commit() { return DEEPPCR_GIT_COMMIT; }

std::string utc_now() {
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

}  // namespace deeppcr::io
