#pragma once

#include <limits>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::parallel {

/// A number of elements as MPI takes it. @throws Error where it is beyond an int
inline int to_count(Index count) {
  DEEPPCR_ASSERT(0 <= count && count <= std::numeric_limits<int>::max(),
                 "a message of {} elements; use fewer samples at a time", count);
  return static_cast<int>(count);
}

}  // namespace deeppcr::parallel
