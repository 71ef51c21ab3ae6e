#include "app/written_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "app/config.hpp"
#include "app/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/recognise.hpp"
#include "deeppcr/io/trace.hpp"

namespace deeppcr::app {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

struct ReadFile {
  std::string option;
  std::string path;
};

std::vector<fs::path> files_in(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed))
    if (entry.path().filename().string().find("ubyte") != std::string::npos)
      files.push_back(entry.path());
  return files;
}

/// Existing files that the options name, and what --restart asks for; of a folder the images in it.
std::vector<ReadFile> read_files(const po::options_description& known,
                                 const po::variables_map& values) {
  std::vector<ReadFile> files;
  std::error_code failed;
  for (const auto& option : known.options()) {
    const std::string& name = option->long_name();
    const OptionSpec* spec = spec_of(*option);
    if (spec == nullptr || !spec->reads) continue;
    const std::string path = text_of(values, name);
    if (fs::is_directory(path, failed)) {
      for (const fs::path& file : files_in(path)) files.push_back({name, file.string()});
    } else if (!path.empty() && (name == "restart" || fs::exists(path, failed))) {
      files.push_back({name, path});
    }
  }
  return files;
}

/// Files that the options name, and those that come with them.
std::vector<WrittenFile> written_files(const po::options_description& known,
                                       const po::variables_map& values) {
  std::vector<WrittenFile> files;
  for (const auto& option : known.options()) {
    const OptionSpec* spec = spec_of(*option);
    if (spec == nullptr || spec->writes.empty()) continue;
    const std::string path = text_of(values, spec->name), format = spec->writes;
    if (!path.empty()) files.push_back({spec->name, path, format});
    if (format == file_format::kCheckpoint) {
      const std::string used = path.empty() ? default_checkpoint(text_of(values, "trace")) : path;
      if (path.empty()) files.push_back({"", used, format});
      files.push_back({"", link_target(used) + ".1", format});
    }
    const std::string states = text_of(values, "trace-states");
    if (format == file_format::kTrace && !path.empty() && !states.empty() && states != "none")
      files.push_back({"", io::Trace::states_path(link_target(path)), file_format::kStates});
  }
  return files;
}

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
  const io::Recognised found = io::recognise(file.path);
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
  const io::Recognised found =
      fs::is_regular_file(status) ? io::recognise(temporary) : io::Recognised{};
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

void check(const std::vector<WrittenFile>& files, const std::vector<ReadFile>& read, bool force) {
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

}  // namespace

OptionSpec force_option() {
  return flag_option("force",
                     "replace files of those names even if this program did not write them");
}

std::vector<WrittenFile> check_written_files(const po::options_description& known,
                                             const po::variables_map& values,
                                             const parallel::Communicator& comm) {
  const std::vector<WrittenFile> files = written_files(known, values);
  if (files.empty()) return files;
  parallel::agree(comm, [&] {
    if (comm.is_root()) check(files, read_files(known, values), is_set(values, "force"));
  });
  return files;
}

std::string WrittenFile::named() const {
  return option.empty() ? fmt::format("'{}'", path) : fmt::format("--{} {}", option, path);
}

}  // namespace deeppcr::app
