#include "deeppcr/blocks/affine_map.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "deeppcr/core/random.hpp"

namespace deeppcr::blocks {
namespace {

AffineMap random_map(Index batch, int width, std::uint64_t stream) {
  AffineMap map(batch, width);
  RandomStream(9, stream).normal(0, map.panel().size(), map.panel().data());
  return map;
}

TEST(AffineMap, CompositionIsApplyingOneAfterTheOther) {
  for (const int n : {1, 2, 3, 8, 17}) {
    for (const Index B : {1, 5}) {
      const AffineMap first = random_map(B, n, 1), second = random_map(B, n, 2);
      AffineMap both(B, n);
      AffineMap::compose(second, first, both);
      std::vector<Real> x(static_cast<std::size_t>(B * n)), y(x), z(x), direct(x);
      RandomStream(9, 3).normal(0, B * n, x.data());
      const std::array<Index, 2> shape{B, n};
      first.apply(ConstState(x.data(), shape), State(y.data(), shape));
      second.apply(ConstState(y.data(), shape), State(z.data(), shape));
      both.apply(ConstState(x.data(), shape), State(direct.data(), shape));
      for (std::size_t i = 0; i < z.size(); ++i)
        ASSERT_NEAR(direct[i], z[i], 1e-13 * n * n * (1 + std::abs(z[i])));
    }
  }
}

TEST(AffineMap, IdentityChangesNothing) {
  AffineMap identity(2, 3);
  set_identity(identity.panel());
  const std::vector<Real> x{1, 2, 3, 4, 5, 6};
  std::vector<Real> y(6);
  identity.apply(ConstState(x.data(), {2, 3}), State(y.data(), {2, 3}));
  EXPECT_EQ(x, y);
}

}  // namespace
}  // namespace deeppcr::blocks
