#include "deeppcr/core/processor.hpp"

#include <unistd.h>

#if defined(__SSE2__)
#include <pmmintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#endif

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

bool flush_denormals() {
#if defined(__SSE2__)
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON);
  return true;
#elif defined(__aarch64__)
  constexpr std::uint64_t kFlushToZero = 1ull << 24;
  std::uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | kFlushToZero));
  return true;
#else
  return false;
#endif
}

}  // namespace deeppcr
