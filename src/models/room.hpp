#pragma once

#include "deeppcr/core/buffer.hpp"

namespace deeppcr::models {

/// Scratch for so many numbers, not cleared, in memory that only grows.
inline Real* room(Buffer<Real>& buffer, Index size) {
  buffer.reserve(size);
  return buffer.data();
}

}  // namespace deeppcr::models
