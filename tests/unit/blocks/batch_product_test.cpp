#include "deeppcr/blocks/batch_product.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::blocks {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr Index kMost = 131;  // more than two blocks of vectors

struct Problem {
  Problem(int m, int k) : rows(m), columns(k), A(Index{m} * k), X(kMost * k), start(m) {
    RandomStream(4, 1).normal(0, A.size(), A.data());
    RandomStream(4, 2).normal(0, X.size(), X.data());
    RandomStream(4, 3).normal(0, m, start.data());
  }
  /// Products of vectors [first, first + batch), [batch, rows].
  Buffer<Real> products(Index first, Index batch, BlocksFrom where = BlocksFrom::cache) const {
    Buffer<Real> Y(batch * rows);
    BatchProduct(rows, columns, where)(A.data(), batch, X.data() + first * columns, start.data(),
                                       Y.data());
    return Y;
  }

  int rows, columns;
  Buffer<Real> A, X, start;
};

TEST(BatchProduct, AgreesWithSumsOfProducts) {
  for (const auto& [m, k] : {std::pair{1, 1},
                             {2, 2},
                             {3, 3},
                             {7, 7},
                             {8, 8},
                             {17, 17},
                             {64, 64},
                             {130, 130},
                             {1, 9},
                             {2, 1},
                             {3, 5},
                             {5, 200},
                             {10, 64},
                             {64, 784}}) {
    const Problem problem(m, k);
    const Buffer<Real> Y = problem.products(0, 5);
    for (Index b = 0; b < 5; ++b) {
      for (Index i = 0; i < m; ++i) {
        double sum = problem.start[i], size = std::abs(sum);
        for (Index j = 0; j < k; ++j) {
          const double product = problem.A[j * m + i] * problem.X[b * k + j];
          sum += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(Y[b * m + i], sum, (k + 1) * size * kEps) << m << " x " << k;
      }
    }
  }
}

TEST(BatchProduct, HasTheBitsOfGemvForEveryBatch) {
  for (int n = 1; n <= 200; n += n < 72 ? 1 : 29) {
    const Problem problem(n, n);
    Buffer<Real> expected(kMost * n);
    const Gemv gemv(n);
    for (Index b = 0; b < kMost; ++b)
      gemv(problem.A.data(), problem.X.data() + b * n, problem.start.data(),
           expected.data() + b * n);
    for (const auto where : {BlocksFrom::cache, BlocksFrom::memory}) {
      for (const Index batch : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 65, 131}) {
        const Index first = kMost - batch;
        const Buffer<Real> Y = problem.products(first, batch, where);
        for (Index i = 0; i < Y.size(); ++i)
          ASSERT_EQ(Y[i], expected[first * n + i]) << n << ", batch " << batch;
      }
    }
  }
}

TEST(BatchProduct, OfARectangleDoesNotDependOnTheBatch) {
  for (const auto& [m, k] :
       {std::pair{1, 9}, {2, 3}, {3, 5}, {5, 200}, {9, 100}, {10, 64}, {33, 2}, {64, 300}}) {
    const Problem problem(m, k);
    const Buffer<Real> all = problem.products(0, kMost);
    for (const Index batch : {1, 2, 3, 4, 5, 7, 64, 70}) {
      const Index first = kMost - batch;
      const Buffer<Real> Y = problem.products(first, batch);
      for (Index i = 0; i < Y.size(); ++i)
        ASSERT_EQ(Y[i], all[first * m + i]) << m << " x " << k << ", batch " << batch;
    }
  }
}

// Nothing is written beside the result, and nothing is read beside the operands that reaches it.
TEST(BatchProduct, KeepsToItsArrays) {
  for (const int n : {1, 2, 3, 5, 7, 8, 9, 12, 17, 33, 65}) {
    constexpr Index kBatch = 5, kAround = 16;
    const Problem problem(n, n);
    const Index size = kBatch * n, area = Index{n} * n;
    Buffer<Real> A(area + 2 * kAround), Y(size + 2 * kAround);
    std::fill(A.begin(), A.end(), std::numeric_limits<double>::quiet_NaN());
    std::fill(Y.begin(), Y.end(), 7.0);
    std::copy_n(problem.A.data(), area, A.data() + kAround);
    BatchProduct(n, n)(A.data() + kAround, kBatch, problem.X.data(), problem.start.data(),
                       Y.data() + kAround);
    const Buffer<Real> expected = problem.products(0, kBatch);
    for (Index i = 0; i < size; ++i) ASSERT_EQ(Y[kAround + i], expected[i]) << n;
    for (Index i = 0; i < kAround; ++i) {
      ASSERT_EQ(Y[i], 7.0) << n;
      ASSERT_EQ(Y[kAround + size + i], 7.0) << n;
    }
  }
}

}  // namespace
}  // namespace deeppcr::blocks
