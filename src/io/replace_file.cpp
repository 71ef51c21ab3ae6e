#include "io/replace_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::io {

namespace {

/// What a file is called until it is whole.
std::string temporary_name(const std::string& path) { return path + ".tmp"; }

void remove_quietly(const std::string& path) { ::unlink(path.c_str()); }

/// Forces a file, or a folder's list of names, to the disk.
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

/// Writes and flushes the file. Each rank flushes what it wrote; what closing adds is then flushed
/// by rank 0. What a killed run has left under that name is removed first: it may be a link to
/// elsewhere.
void write_whole(const parallel::Communicator& comm, const std::string& path,
                 const std::function<void(hdf5::File&)>& body) {
  if (comm.is_root()) remove_quietly(path);
  hdf5::File file = hdf5::File::create(path, &comm);
  try {
    body(file);
    file.close();
  } catch (const Error& error) {
    if (error.seen() == Error::Seen::everywhere) file.abandon();
    throw;
  }
  parallel::agree(comm, [&] {
    if (comm.is_root()) sync_path(path, O_RDWR);
  });
}

}  // namespace

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

void replace_file(const parallel::Communicator& comm, const std::string& name,
                  const std::function<void(hdf5::File&)>& body,
                  const std::function<void(const std::string&)>& check, Older older) {
  const std::string path = link_target(name), temporary = temporary_name(path);
  try {
    write_whole(comm, temporary, body);
    if (check) check(temporary);
    parallel::agree(comm, [&] {
      if (!comm.is_root()) return;
      if (older == Older::kept) keep_older(path);
      take_name(path);
      const std::string folder = std::filesystem::path(path).parent_path().string();
      sync_path(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
    });
  } catch (...) {
    if (comm.is_root()) remove_quietly(temporary);
    throw;
  }
}

void begin_file(const std::string& name, const std::function<void(const std::string&)>& body) {
  const std::string path = link_target(name), temporary = temporary_name(path);
  remove_quietly(temporary);
  try {
    body(temporary);
    take_name(path);
  } catch (...) {
    remove_quietly(temporary);
    throw;
  }
}

}  // namespace deeppcr::io
