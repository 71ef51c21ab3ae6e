#include "deeppcr/core/buffer.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdlib>

#include "deeppcr/core/error.hpp"

namespace deeppcr {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kVectorAlignment = 64;
/// From this size on memory comes from the system and goes back to it. Libraries that PETSc brings
/// along (SuperLU_DIST) tell malloc to keep all that is ever freed.
constexpr std::size_t kMapped = std::size_t{64} << 20;

}  // namespace

namespace detail {

void* allocate_aligned(std::size_t bytes) {
  void* memory = nullptr;
  if (bytes >= kMapped) {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  } else if (posix_memalign(&memory, bytes >= kHugePage ? kHugePage : kVectorAlignment, bytes)) {
    memory = nullptr;
  }
  if (memory == nullptr || memory == MAP_FAILED) {
    throw internal_error("no memory for {:.1f} MiB on this rank; use more ranks or a smaller batch",
                         static_cast<double>(bytes) / (1 << 20));
  }
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

void free_aligned(void* memory, std::size_t bytes) noexcept {
  if (memory != nullptr && bytes >= kMapped) {
    munmap(memory, bytes);
  } else {
    std::free(memory);
  }
}

}  // namespace detail

std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

}  // namespace deeppcr
