#include "replace_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "deeppcr/core/error.hpp"

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

ReplacingFile::ReplacingFile(const parallel::Communicator& comm, const std::string& path)
    : comm_(comm), path_(path), file_(hdf5::File::create(temporary_name(path), comm)) {}

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

void ReplacingFile::place(const std::function<void()>& rename) {
  parallel::agree(comm_, [&] {
    if (!comm_.is_root()) return;
    rename();
    sync_folder_of(path_);
  });
  placed_ = true;
}

void ReplacingFile::place() {
  place([&] {
    if (::rename(temporary_name(path_).c_str(), path_.c_str()) != 0) {
      throw internal_error("cannot write '{}': {}", path_, std::strerror(errno));
    }
  });
}

}  // namespace deeppcr::io
