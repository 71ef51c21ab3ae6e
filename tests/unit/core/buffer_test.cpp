#include "deeppcr/core/buffer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "deeppcr/core/error.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace deeppcr {
namespace {

TEST(Buffer, IsZeroAndAligned) {
  for (const Index size : {0, 1, 7, 100, 1 << 20}) {
    const Buffer<Real> buffer(size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    for (Real value : buffer) ASSERT_EQ(value, 0.0);
  }
}

TEST(Buffer, ResetClearsWhatWasThere) {
  Buffer<Real> buffer(4);
  buffer[2] = 5;
  buffer.reset(3);
  EXPECT_EQ(buffer[2], 0.0);
  EXPECT_EQ(buffer.size(), 3);
}

TEST(Buffer, ReserveNeverShrinks) {
  Buffer<Real> buffer(4);
  buffer[3] = 5;
  buffer.reserve(2);
  EXPECT_EQ(buffer.size(), 4);
  EXPECT_EQ(buffer[3], 5.0);
  buffer.reserve(9);
  EXPECT_EQ(buffer.size(), 9);
}

#ifdef __GLIBC__
double resident_bytes() {
  long all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

TEST(Buffer, LargeOnesGoBackToTheSystem) {
  // What SuperLU_DIST, which PETSc may bring along, tells malloc when it is loaded.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  constexpr Index kReals = Index{1} << 24;
  const double before = resident_bytes(), bytes = kReals * sizeof(Real);
  {
    const Buffer<Real> large(kReals);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large.data()) % (std::size_t{2} << 20), 0u);
    EXPECT_GT(resident_bytes(), before + 0.9 * bytes);
  }
#ifdef __SANITIZE_ADDRESS__
  constexpr double kStays = 0.2;  // an eighth: what the sanitizer knows of the memory
#else
  constexpr double kStays = 0.1;
#endif
  EXPECT_LT(resident_bytes(), before + kStays * bytes);
  mallopt(M_MMAP_MAX, 65536);  // glibc's own settings
  mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}
#endif

TEST(Buffer, SaysWhenThereIsNoMemory) { EXPECT_THROW(Buffer<Real>(Index{1} << 58), Error); }

}  // namespace
}  // namespace deeppcr
