#include "deeppcr/core/buffer.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kVectorAlignment = 64;
/// From this size on memory comes from the system and goes back to it. Libraries that PETSc brings
/// along (SuperLU_DIST) tell malloc to keep all that is ever freed.
constexpr std::size_t kMapped = std::size_t{64} << 20;

std::size_t whole_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

/// Null when there is none.
void* map(std::size_t bytes) {
  const std::size_t length = whole_pages(bytes);
  void* memory =
      mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  // Only the part from the first huge page on is kept.
  auto* first = static_cast<char*>(memory);
  const std::size_t before =
      (kHugePage - reinterpret_cast<std::uintptr_t>(first) % kHugePage) % kHugePage;
  if (before > 0) munmap(first, before);
  munmap(first + before + length, kHugePage - before);
  return first + before;
}

/// Null when there is none.
void* from_malloc(std::size_t bytes) {
  void* memory = nullptr;
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kVectorAlignment;
  return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

}  // namespace

namespace detail {

void* allocate_aligned(std::size_t bytes) {
  void* memory = bytes >= kMapped ? map(bytes) : from_malloc(bytes);
  if (memory == nullptr) {
    throw internal_error("no memory for {:.1f} MiB on this rank; use more ranks or a smaller batch",
                         static_cast<double>(bytes) / (1 << 20));
  }
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

void free_aligned(void* memory, std::size_t bytes) noexcept {
  if (memory != nullptr && bytes >= kMapped) {
    munmap(memory, whole_pages(bytes));
  } else {
    std::free(memory);
  }
}

}  // namespace detail

}  // namespace deeppcr
