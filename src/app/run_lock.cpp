#include "deeppcr/app/run_lock.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <utility>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

/// Beside the file itself, whatever links lead to it.
std::string lock_name(const std::string& file) {
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(file, ignored);
  return (real.empty() ? file : real.string()) + ".lock";
}

/// "process 4711 on node3 since 2026-01-31 12:00:00 UTC"
std::string this_process() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("process {} on {} since {:%Y-%m-%d %H:%M:%S} UTC", ::getpid(), host.data(),
                     fmt::gmtime(std::time(nullptr)));
}

std::string holder_of(int descriptor) {
  std::array<char, 512> text{};
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  return count > 0 ? std::string(text.data(), static_cast<std::size_t>(count)) : "another process";
}

/// Whether the name still leads to the open file: its last holder may have removed it meanwhile.
bool is_in_place(int descriptor, const std::string& path) {
  struct stat held {
  }, named{};
  return ::fstat(descriptor, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/// The descriptor that holds the lock; -1 where there are no locks.
/// @throws Error (this rank)
int lock(const std::string& path, const std::string& option, const std::string& file) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) return -1;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
      if (is_in_place(descriptor, path)) return descriptor;
      ::close(descriptor);
      continue;
    }
    const int reason = errno;
    const std::string holder = holder_of(descriptor);
    ::close(descriptor);
    if (reason == EWOULDBLOCK) {
      throw local_input_error(
          "--{} {}: is being written by another run ({}); give this run another --{} or wait",
          option, file, holder, option);
    }
    log::debug("{} cannot be locked; two runs that write {} would not be noticed", path, file);
    ::unlink(path.c_str());
    return -1;
  }
}

}  // namespace

RunLock::RunLock(const parallel::Communicator& comm, const std::string& option,
                 const std::string& file) {
  if (file.empty()) return;
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    const std::string path = lock_name(file);
    descriptor_ = lock(path, option, file);
    if (descriptor_ < 0) return;
    path_ = path;
    const std::string holder = this_process();
    const bool written = ::ftruncate(descriptor_, 0) == 0 &&
                         ::pwrite(descriptor_, holder.data(), holder.size(), 0) > 0;
    if (!written) log::debug("{} does not say who holds it", path);
  });
}

RunLock::RunLock(RunLock&& other) noexcept
    : path_(std::exchange(other.path_, "")), descriptor_(std::exchange(other.descriptor_, -1)) {}

RunLock::~RunLock() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());  // before the lock is free: who takes it then makes a new file
  ::close(descriptor_);
}

}  // namespace deeppcr::app
