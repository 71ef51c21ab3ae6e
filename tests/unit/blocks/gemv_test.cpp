#include "deeppcr/blocks/gemv.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::blocks {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

/// start + A x or start + A^T x, one entry after another.
Buffer<Real> expected(int n, bool transposed, const Buffer<Real>& A, const Buffer<Real>& x,
                      const Buffer<Real>& start) {
  Buffer<Real> y(n);
  for (int i = 0; i < n; ++i) {
    y[i] = start[i];
    for (int j = 0; j < n; ++j) y[i] += (transposed ? A[i * n + j] : A[j * n + i]) * x[j];
  }
  return y;
}

template <typename Product>
void expect_sums_of_products(int n, bool transposed) {
  Buffer<Real> A(n * n), x(n), start(n), y(n);
  RandomStream(4, 1).uniform(0, A.size(), A.data());
  RandomStream(4, 2).uniform(0, n, x.data());
  RandomStream(4, 3).uniform(0, n, start.data());
  const Buffer<Real> sums = expected(n, transposed, A, x, start);
  const Product product(n);
  product(A.data(), x.data(), start.data(), y.data());
  for (int i = 0; i < n; ++i) ASSERT_NEAR(y[i], sums[i], (n + 1) * (n + 1) * kEps) << n;
  product(A.data(), x.data(), start.data(), start.data());
  for (int i = 0; i < n; ++i) ASSERT_EQ(start[i], y[i]) << n;
}

TEST(Gemv, AgreesWithSumsOfProducts) {
  for (const int n : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 40, 64, 65, 96, 130}) {
    expect_sums_of_products<Gemv>(n, false);
    expect_sums_of_products<GemvTransposed>(n, true);
  }
}

TEST(GemvPair, HasTheBitsOfTwoProducts) {
  for (const int n : {1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 96, 130}) {
    Buffer<Real> A(n * n), x(n), v(n), start(n), none(n), y(n), w(n), y_alone(n), w_alone(n);
    std::uint64_t stream = 0;
    for (Buffer<Real>* operand : {&A, &x, &v, &start})
      RandomStream(4, ++stream).uniform(0, operand->size(), operand->data());
    GemvPair{n}({A.data(), x.data(), start.data(), v.data(), y.data(), w.data()});
    Gemv{n}(A.data(), x.data(), start.data(), y_alone.data());
    Gemv{n}(A.data(), v.data(), none.data(), w_alone.data());
    for (int i = 0; i < n; ++i) {
      ASSERT_EQ(y[i], y_alone[i]) << n;
      ASSERT_EQ(w[i], w_alone[i]) << n;
    }
    GemvPair{n}({A.data(), x.data(), start.data(), v.data(), start.data(), w.data()});
    for (int i = 0; i < n; ++i) ASSERT_EQ(start[i], y[i]) << n;
  }
}

/// Ranks with more steps read them from memory, others from the cache.
TEST(Gemv, HasTheSameBitsWhereverBlocksComeFrom) {
  for (const int n : {1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 96, 130}) {
    Buffer<Real> A(n * n), x(n), v(n), start(n), near(n), far(n), image(n), far_image(n);
    std::uint64_t stream = 0;
    for (Buffer<Real>* operand : {&A, &x, &v, &start})
      RandomStream(4, ++stream).uniform(0, operand->size(), operand->data());
    Gemv{n}(A.data(), x.data(), start.data(), near.data());
    Gemv{n, BlocksFrom::memory}(A.data(), x.data(), start.data(), far.data());
    for (int i = 0; i < n; ++i) ASSERT_EQ(near[i], far[i]) << n;
    GemvPair{n}({A.data(), x.data(), start.data(), v.data(), near.data(), image.data()});
    GemvPair{n, BlocksFrom::memory}(
        {A.data(), x.data(), start.data(), v.data(), far.data(), far_image.data()});
    for (int i = 0; i < n; ++i) {
      ASSERT_EQ(near[i], far[i]) << n;
      ASSERT_EQ(image[i], far_image[i]) << n;
    }
  }
}

TEST(GemvTransposedOuter, IsTheProductAndTheOuterProduct) {
  for (const int n : {1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 96, 130}) {
    Buffer<Real> A(n * n), x(n), z(n), start(n), y(n), C(n * n);
    std::uint64_t stream = 0;
    for (Buffer<Real>* operand : {&A, &x, &z, &start})
      RandomStream(4, ++stream).uniform(0, operand->size(), operand->data());
    const Buffer<Real> sums = expected(n, true, A, x, start);
    const GemvTransposedOuter both(n);
    both({A.data(), x.data(), z.data(), start.data(), y.data(), C.data()});
    for (int j = 0; j < n; ++j) {
      ASSERT_NEAR(y[j], sums[j], (n + 1) * (n + 1) * kEps) << n;
      for (int i = 0; i < n; ++i) ASSERT_EQ(C[j * n + i], x[i] * z[j]) << n;
    }
  }
}

}  // namespace
}  // namespace deeppcr::blocks
