#include "deeppcr/core/cache.hpp"

#include <unistd.h>

namespace deeppcr {

Index second_level_cache() {
  constexpr Index kUnknown = 512 * 1024;
#ifdef _SC_LEVEL2_CACHE_SIZE
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : kUnknown;
#else
  return kUnknown;
#endif
}

}  // namespace deeppcr
