#include "deeppcr/core/buffer.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "deeppcr/core/error.hpp"

namespace deeppcr::detail {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kVectorAlignment = 64;
}  // namespace

void* allocate_aligned(std::size_t bytes) {
  const bool large = bytes >= 2 * kHugePage;
  const std::size_t alignment = large ? kHugePage : kVectorAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr && bytes > 0) {
    throw internal_error("no memory for {:.1f} MiB on this rank; use more ranks or a smaller batch",
                         static_cast<double>(bytes) / (1 << 20));
  }
  if (large) madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

void free_aligned(void* memory) noexcept { std::free(memory); }

}  // namespace deeppcr::detail
