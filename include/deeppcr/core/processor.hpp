#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// Bytes of a line of the caches.
constexpr Index kCacheLine = 64;

/// Bytes of a core's second-level cache; 512 KiB where the system does not tell.
Index second_level_cache();

/// Asks for `count` bytes to be brought into the second-level cache; does not wait
/// for the last of them.
inline void prefetch(const void* first, Index count) {
  const char* p = static_cast<const char*>(first);
  for (Index i = 0; i < count; i += kCacheLine) __builtin_prefetch(p + i, 0, 2);
}

/// From now on numbers below 2.2e-308 (1.2e-38 in single precision) count as zero in this thread
/// and in those it starts (not in those that run already, such as a BLAS library's). Products of
/// many contracting steps pass through such numbers on their way to zero, and many processors take
/// over 100 cycles for an operation on one: measured, a chain's elimination became 5 to 50 times
/// slower. Tolerances are relative and far above.
/// @returns whether this processor has such a mode
bool flush_denormals();

}  // namespace deeppcr
