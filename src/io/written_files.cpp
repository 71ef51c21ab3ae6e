#include "deeppcr/io/written_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "io/recognise.hpp"
#include "io/replace_file.hpp"

namespace deeppcr::io {
namespace {

namespace fs = std::filesystem;

/// A file's name, and those beside it that are used while it is written.
std::vector<std::string> names_of(const WrittenFile& file) {
  const std::string target = link_target(file.path);
  return {file.path, target + ".tmp", target + ".lock"};
}

void refuse_what_is_no_file(const WrittenFile& file) {
  std::error_code failed;
  const fs::file_status status = fs::status(file.path, failed);
  if (!fs::exists(status)) return;
  if (fs::is_regular_file(status)) {
    if (::access(file.path.c_str(), W_OK) == 0) return;
    throw local_input_error("{}: that file is write-protected; give another name, or chmod u+w it",
                            file.named());
  }
  if (fs::is_directory(status))
    throw local_input_error("{}: is a folder; give the name of a file", file.named());
  const char* what = fs::is_fifo(status)     ? "a FIFO"
                     : fs::is_socket(status) ? "a socket"
                                             : "a device";
  throw local_input_error(
      "{}: is {}, and results go into files alone; give the name of a file, or leave the option "
      "out",
      file.named(), what);
}

void refuse_what_is_read(const WrittenFile& file, const std::vector<ReadFile>& read) {
  std::error_code failed;
  for (const std::string& name : names_of(file))
    for (const ReadFile& other : read) {
      const bool same_run = other.option == "restart" && file.format == file_format::kCheckpoint;
      if (same_run || !fs::equivalent(name, other.path, failed)) continue;
      throw local_input_error(
          "{}: this run reads that file (--{} {}), so it is left as it is; give another name",
          file.named(), other.option, other.path);
    }
}

/// Whether two files that are not there yet would be one.
bool same_file(const std::string& a, const std::string& b) {
  const auto whole = [](const std::string& path) {
    std::error_code failed;
    return fs::weakly_canonical(fs::absolute(link_target(path)), failed);
  };
  return whole(a) == whole(b);
}

bool goes_on(const std::vector<ReadFile>& read) {
  return std::any_of(read.begin(), read.end(),
                     [](const ReadFile& one) { return one.option == "restart"; });
}

void refuse_what_is_foreign(const WrittenFile& file, const std::vector<ReadFile>& read) {
  std::error_code failed;
  if (!fs::exists(file.path, failed)) return;
  const Recognised found = recognise(file.path);
  if (found.format == file.format || found.format == file_format::kEmpty) return;
  // A run that goes on gives another name to what a killed one has left damaged.
  const bool left_behind =
      file.format == file_format::kCheckpoint || file.format == file_format::kTrace;
  if (found.damaged && left_behind && goes_on(read)) return;
  throw local_input_error(
      "{}: there is another file of that name, no {} ({}); it is left as it is: give another name, "
      "remove it, or add --force to replace it",
      file.named(), file.format, found.is);
}

/// A checkpoint of another run is replaced in time: somebody may have forgotten --restart.
void warn_of_earlier_run(const WrittenFile& file, const std::vector<ReadFile>& read) {
  std::error_code failed;
  const bool there = file.format == file_format::kCheckpoint && !file.option.empty() &&
                     fs::exists(file.path, failed) && fs::file_size(file.path, failed) > 0;
  if (!there || goes_on(read)) return;
  log::warn(
      "{}: this run will replace the checkpoint of an earlier one; --restart auto goes on "
      "from it",
      file.named());
}

/// What the file is called until it is whole may be left from a run that was killed.
void refuse_foreign_temporary(const WrittenFile& file) {
  const std::string temporary = link_target(file.path) + ".tmp";
  std::error_code failed;
  const fs::file_status status = fs::symlink_status(temporary, failed);
  if (!fs::exists(status)) return;
  const Recognised found = fs::is_regular_file(status) ? recognise(temporary) : Recognised{};
  const bool leftover =
      found.format == file.format || found.format == file_format::kEmpty || found.damaged;
  if (leftover) return;
  throw local_input_error(
      "{}: it is written under the name '{}' until it is whole, and that is taken by {}; give "
      "another name, or move that file",
      file.named(), temporary, found.is.empty() ? "something else" : found.is);
}

/// A file that no option names is an option's companion, or where a stop would keep what is done.
void try_folder(const WrittenFile& file) {
  const std::string target = link_target(file.path);
  short_path(target + ".tmp");  // refuses what is too long
  std::string probe = (fs::path(target).parent_path() / ".deeppcr-XXXXXX").string();
  const int descriptor = mkstemp(probe.data());
  if (descriptor >= 0) {
    ::close(descriptor);
    ::unlink(probe.c_str());
    return;
  }
  const std::string why =
      fmt::format("{}: no file can be written there ({})", file.named(), std::strerror(errno));
  if (!file.option.empty())
    throw local_input_error("{}; give a folder that exists and takes files", why);
  log::warn("{}: a stop would keep nothing; give --checkpoint", why);
}

void refuse_shared_names(const WrittenFile& file, const WrittenFile& other) {
  for (const std::string& name : names_of(other))
    if (same_file(file.path, name))
      throw local_input_error("{} needs the name that {} has; give two names", other.named(),
                              file.named());
}

}  // namespace

void check_written_files(const std::vector<WrittenFile>& files, const std::vector<ReadFile>& read,
                         bool force) {
  for (const WrittenFile& file : files) {
    refuse_what_is_no_file(file);
    try_folder(file);
    refuse_what_is_read(file, read);
    if (!force) refuse_what_is_foreign(file, read);
    warn_of_earlier_run(file, read);
    refuse_foreign_temporary(file);
    for (const WrittenFile& other : files)
      if (&other != &file) refuse_shared_names(file, other);
  }
}

void write_by_root(const parallel::Communicator& comm, const std::string& path,
                   const std::function<void(const std::string&)>& body) {
  parallel::agree(comm, [&] {
    if (comm.is_root()) begin_file(path, body);
  });
}

std::string WrittenFile::named() const {
  return option.empty() ? fmt::format("'{}'", path) : fmt::format("--{} {}", option, path);
}

}  // namespace deeppcr::io
