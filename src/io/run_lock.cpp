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
#include "deeppcr/io/written_files.hpp"

namespace deeppcr::io {
namespace {

/// What a lock file begins with, and what is said of an empty one.
constexpr const char* kHolder = "process ";
constexpr const char* kNobody = "another process";

/// Beside the file itself, whatever links lead to it; an older checkpoint, "c.h5.1", has the lock
/// of the newest.
std::string lock_name(const std::string& file) {
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(file, ignored);
  std::string name = real.empty() ? file : real.string();
  const std::size_t digits = name.find_last_not_of("0123456789");
  const bool older =
      digits != std::string::npos && digits + 1 < name.size() && digits > 0 && name[digits] == '.';
  if (older) name.resize(digits);
  return name + ".lock";
}

/// "process 4711 on node3 since 2026-01-31 12:00:00 UTC"
std::string this_process() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("{}{} on {} since {:%Y-%m-%d %H:%M:%S} UTC", kHolder, ::getpid(), host.data(),
                     fmt::gmtime(std::time(nullptr)));
}

std::string holder_of(int descriptor) {
  std::array<char, 512> text{};
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  return count > 0 ? std::string(text.data(), static_cast<std::size_t>(count)) : kNobody;
}

/// Whether a file is a lock of ours, or empty.
bool is_lock(int descriptor) {
  const std::string holder = holder_of(descriptor);
  return holder.rfind(kHolder, 0) == 0 || holder == kNobody;
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
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0 && errno != ELOOP) return -1;
    if (descriptor < 0 || !is_lock(descriptor)) {
      if (descriptor >= 0) ::close(descriptor);
      throw local_input_error(
          "--{} {}: the run is locked by the name '{}', which is taken by another file; move that, "
          "or give another --{}",
          option, file, path, option);
    }
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

}  // namespace deeppcr::io
