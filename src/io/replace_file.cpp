#include "io/replace_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::io {

namespace {

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

void sync_path(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags);
  if (descriptor < 0) {
    throw internal_error("cannot flush '{}' to the disk: {}", path, std::strerror(errno));
  }
  const int code = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  // Some file systems cannot flush a folder and say so with EINVAL; there is nothing more to do
  // then.
  if (code != 0 && reason != EINVAL) {
    throw internal_error("cannot flush '{}' to the disk: {}", path, std::strerror(reason));
  }
}

}  // namespace

std::string temporary_name(const std::string& path) { return path + ".tmp"; }

void sync_file(const std::string& path) { sync_path(path, O_RDWR); }

void sync_folder_of(const std::string& path) { sync_path(folder_of(path), O_RDONLY | O_DIRECTORY); }

void remove_quietly(const std::string& path) { ::unlink(path.c_str()); }

std::string older_name(const std::string& path) { return path + ".1"; }

void keep_older(const std::string& path) {
  const std::string older = older_name(path), second = temporary_name(older);
  // A second name, not a move: `path` itself is never without a whole file. By way of a temporary
  // name, because a rename replaces and a link does not. Some file systems have no second names.
  remove_quietly(second);
  const std::string& from = ::link(path.c_str(), second.c_str()) == 0 ? second : path;
  if (::rename(from.c_str(), older.c_str()) != 0 && errno != ENOENT)
    throw internal_error("cannot rename '{}' to '{}': {}", from, older, std::strerror(errno));
  remove_quietly(second);  // still there where both were names of one file
}

void set_damaged_aside(const std::string& path) {
  const std::string kept = path + ".damaged";
  if (::rename(path.c_str(), kept.c_str()) == 0) log::warn("'{}' is now '{}'", path, kept);
}

namespace {

/// A file keeps the rights that its owner has given to its name.
void keep_rights(const std::string& path) {
  struct stat old {};
  constexpr mode_t kRights = 07777;
  if (::stat(path.c_str(), &old) == 0)
    (void)!::chmod(temporary_name(path).c_str(), old.st_mode & kRights);
}

void take_name(const std::string& path) {
  keep_rights(path);
  if (::rename(temporary_name(path).c_str(), path.c_str()) != 0)
    throw internal_error("cannot write '{}': {}", path, std::strerror(errno));
}

/// What a killed run has left under that name is removed first: it may be a link to elsewhere.
hdf5::File create_afresh(const parallel::Communicator& comm, const std::string& path) {
  if (comm.is_root()) remove_quietly(path);
  return hdf5::File::create(path, comm);
}

}  // namespace

ReplacingFile::ReplacingFile(const parallel::Communicator& comm, const std::string& path)
    : comm_(comm), path_(link_target(path)), file_(create_afresh(comm, temporary_name(path_))) {}

ReplacingFile::~ReplacingFile() {
  if (!placed_ && comm_.is_root()) remove_quietly(temporary_name(path_));
}

void ReplacingFile::finish() {
  guarded([&] {
    // Each rank flushes what it wrote; what closing adds is then flushed by rank 0.
    file_.flush();
    file_.close();
  });
  parallel::agree(comm_, [&] {
    if (comm_.is_root()) sync_file(temporary_name(path_));
  });
}

void ReplacingFile::place(Older older) {
  parallel::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    if (older == Older::kept) keep_older(path_);
    take_name(path_);
    sync_folder_of(path_);
  });
  placed_ = true;
}

StartedFile::StartedFile(std::string path) : path_(std::move(path)) {}

StartedFile::~StartedFile() {
  if (!placed_) remove_quietly(temporary_name(path_));
}

hdf5::File StartedFile::create() const {
  remove_quietly(temporary_name(path_));
  return hdf5::File::create(temporary_name(path_));
}

void StartedFile::place(hdf5::File* open) {
  take_name(path_);
  if (open != nullptr) open->renamed(path_);
  placed_ = true;
}

}  // namespace deeppcr::io
