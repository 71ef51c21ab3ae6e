#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "deeppcr/core/error.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

namespace {

double mebibytes(Index bytes) { return static_cast<double>(bytes) / (1 << 20); }

void require_free(const std::string& path, Index bytes) {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0) return;
  const auto free_bytes = static_cast<Index>(disk.f_bavail) * static_cast<Index>(disk.f_frsize);
  if (free_bytes >= bytes) return;
  throw internal_error("cannot write '{}': {} ({:.1f} MiB needed, {:.1f} MiB free)", path,
                       std::strerror(ENOSPC), mebibytes(bytes), mebibytes(free_bytes));
}

}  // namespace

void reserve(const std::string& path, Index bytes) {
  const int descriptor = ::open(path.c_str(), O_RDWR);
  int reason = descriptor < 0 ? errno : 0;
  if (reason == 0 && ::fallocate(descriptor, 0, 0, bytes) != 0) reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (reason == 0) return;
  if (reason == EOPNOTSUPP || reason == ENOSYS) {
    require_free(path, bytes);
    return;
  }
  throw internal_error("cannot write '{}': {} ({:.1f} MiB needed)", path, std::strerror(reason),
                       mebibytes(bytes));
}

}  // namespace deeppcr::io::hdf5
