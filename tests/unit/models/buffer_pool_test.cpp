#include "models/buffer_pool.hpp"

#include <gtest/gtest.h>

namespace deeppcr::models {
namespace {

TEST(BufferPool, KeepsWhatItsLastUsersHadAtOnce) {
  const auto pool = std::make_shared<BufferPool>();
  const Real* last = nullptr;
  {
    const PooledBuffer one(pool, 30), two(pool, 30), three(pool, 30);
    last = one.data();
  }
  {
    PooledBuffer again(pool, 20);
    EXPECT_EQ(again.data(), last) << "the piece that came back last";
    again.data()[29] = 1;
  }
  // That was one at once: the other two are gone.
  const Buffer<Real> kept = pool->take(1), fresh = pool->take(1);
  EXPECT_EQ(kept[29], 1);
  EXPECT_EQ(fresh.size(), 1);
}

}  // namespace
}  // namespace deeppcr::models
