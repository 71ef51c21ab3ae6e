#include "deeppcr/core/profile.hpp"

#include <sys/resource.h>

namespace deeppcr {

std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

}  // namespace deeppcr
