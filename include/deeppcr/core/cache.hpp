#pragma once

#include "deeppcr/core/types.hpp"

namespace deeppcr {

/// Bytes of a core's second-level cache; 512 KiB where the system does not tell.
Index second_level_cache();

/// What a rank that waits may bring into its cache: the rest is for other things.
Index idle_prefetch_bytes();

/// Asks for `count` bytes to be brought into the second-level cache; does not wait
/// for the last of them.
void prefetch(const void* first, Index count);

}  // namespace deeppcr
