#include "io/hdf5_detail.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io::hdf5 {

namespace {

/// HDF5 wraps the system's reason as "errno = 28, error message = 'No space left on device', ...".
std::string system_reason(const std::string& text) {
  const std::string key = "error message = '";
  const auto start = text.find(key);
  if (start == std::string::npos) return "";
  const auto first = start + key.size();
  return text.substr(first, text.find('\'', first) - first);
}

}  // namespace

void silence_hdf5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

std::string take_error_text() {
  struct Found {
    std::string innermost;
    std::string reason;
    int count = 0;
  } found;
  const auto visit = [](unsigned, const H5E_error2_t* entry, void* out) -> herr_t {
    auto& to = *static_cast<Found*>(out);
    const std::string text = entry->desc != nullptr ? entry->desc : "";
    if (to.reason.empty()) to.reason = system_reason(text);
    // The first two: MPI-IO puts its own text above the name of the call.
    if (to.count < 2 && !text.empty()) {
      to.innermost += to.innermost.empty() ? text : "; " + text;
      ++to.count;
    }
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, visit, &found);
  clear_errors();
  if (!found.reason.empty()) return found.reason;
  return found.innermost.empty() ? "HDF5 gave no reason" : found.innermost;
}

void clear_errors() { H5Eclear2(H5E_DEFAULT); }

void fail(const std::string& what) {
  throw internal_error("cannot {}: {}", what, take_error_text());
}

void reserve(const std::string& path, Index bytes) {
  const int descriptor = ::open(path.c_str(), O_RDWR);
  int reason = descriptor < 0 ? errno : 0;
  if (reason == 0 && ::fallocate(descriptor, 0, 0, bytes) != 0) reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (reason == EOPNOTSUPP || reason == ENOSYS) {
    struct statvfs disk {};
    const bool known = ::statvfs(path.c_str(), &disk) == 0;
    const auto free = static_cast<Index>(disk.f_bavail) * static_cast<Index>(disk.f_frsize);
    reason = known && free < bytes ? ENOSPC : 0;
  }
  if (reason == 0) return;
  throw internal_error("cannot write '{}': {} ({:.1f} MiB needed)", path, std::strerror(reason),
                       static_cast<double>(bytes) / (1 << 20));
}

}  // namespace deeppcr::io::hdf5
