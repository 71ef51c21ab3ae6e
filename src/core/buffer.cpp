#include "deeppcr/core/buffer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kVectorAlignment = 64;
/// A rank is one thread.
BufferBytes counted;
}  // namespace

BufferBytes buffer_bytes() { return counted; }
void reset_buffer_peak() { counted.peak = counted.current; }

namespace detail {

void* allocate_aligned(std::size_t bytes) {
  const bool large = bytes >= kHugePage;
  void* memory = nullptr;
  if (posix_memalign(&memory, large ? kHugePage : kVectorAlignment, bytes) != 0) {
    throw internal_error("no memory for {:.1f} MiB on this rank; use more ranks or a smaller batch",
                         static_cast<double>(bytes) / (1 << 20));
  }
  if (large) madvise(memory, bytes, MADV_HUGEPAGE);
  counted.current += static_cast<Index>(bytes);
  counted.peak = std::max(counted.peak, counted.current);
  return memory;
}

void free_aligned(void* memory, std::size_t bytes) noexcept {
  counted.current -= static_cast<Index>(bytes);
  std::free(memory);
}

}  // namespace detail

}  // namespace deeppcr
