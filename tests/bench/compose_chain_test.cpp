#include "compose_chain.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "deeppcr/blocks/affine_map.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::bench {
namespace {

/// Random maps in double; entries of A about 0.9 / sqrt(n), so that products stay of order one.
struct Maps {
  Maps(Index m, int n) : A(m * n * n), r(m * n) {
    RandomStream(5, 1).normal(0, A.size(), A.data());
    RandomStream(5, 2).normal(0, r.size(), r.data());
    for (Real& value : A) value *= 0.9 / std::sqrt(static_cast<double>(n));
  }
  Buffer<Real> A, r;
};

/// The same by AffineMap, one after another.
blocks::AffineMap composed(Index m, int n, const Maps& maps) {
  blocks::AffineMap all(1, n), step(1, n), next(1, n);
  blocks::set_identity(all.panel());
  for (Index l = 0; l < m; ++l) {
    std::copy_n(maps.A.data() + l * n * n, n * n, step.panel().data());
    std::copy_n(maps.r.data() + l * n, n, step.panel().data() + n * n);
    blocks::AffineMap::compose(step, all, next);
    all.swap(next);
  }
  return all;
}

template <typename T>
Buffer<T> converted(const Buffer<Real>& from) {
  Buffer<T> to(from.size());
  std::copy(from.begin(), from.end(), to.begin());
  return to;
}

template <typename T>
void expect_same_as_affine_maps(Index m, int n) {
  const Maps maps(m, n);
  blocks::AffineMap expected = composed(m, n, maps);
  const Buffer<T> A = converted<T>(maps.A), r = converted<T>(maps.r);
  ComposeChain<T> compose(n);
  for (int call = 0; call < 2; ++call) {
    const T* found = compose(m, A.data(), r.data());
    // Each of m products rounds n terms of order one.
    const double tolerance = 10.0 * static_cast<double>(m + 1) * n *
                             static_cast<double>(std::numeric_limits<T>::epsilon());
    for (Index i = 0; i < expected.panel().size(); ++i)
      ASSERT_NEAR(static_cast<double>(found[i]), expected.panel().data()[i], tolerance)
          << "m = " << m << ", n = " << n << ", entry " << i;
  }
}

TEST(ComposeChain, AgreesWithAffineMapsInBothPrecisions) {
  for (const Index m : {0, 1, 2, 33}) {
    for (const int n : {1, 3, 8, 17, 64}) {
      expect_same_as_affine_maps<double>(m, n);
      expect_same_as_affine_maps<float>(m, n);
    }
  }
}

}  // namespace
}  // namespace deeppcr::bench
