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

}  // namespace deeppcr
