#include "deeppcr/core/buffer.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "deeppcr/core/error.hpp"

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

TEST(Buffer, SaysWhenThereIsNoMemory) { EXPECT_THROW(Buffer<Real>(Index{1} << 58), Error); }

}  // namespace
}  // namespace deeppcr
