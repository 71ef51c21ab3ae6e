#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "deeppcr/blocks/kernels.hpp"
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
  Buffer<Real> products(Index first, Index batch) const {
    Buffer<Real> Y(batch * rows);
    Product(rows, columns)(A.data(), batch, X.data() + first * columns, start.data(), Y.data());
    return Y;
  }

  int rows, columns;
  Buffer<Real> A, X, start;
};

TEST(Product, AgreesWithSumsOfProducts) {
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

TEST(Product, OfAVectorDoesNotDependOnTheBatch) {
  std::vector<std::pair<int, int>> sizes{{1, 9},   {2, 3},  {3, 5},  {5, 200},  {9, 100},
                                         {10, 64}, {33, 2}, {48, 7}, {64, 300}, {200, 200}};
  for (int n = 1; n <= 72; ++n) sizes.emplace_back(n, n);
  for (const auto& [m, k] : sizes) {
    const Problem problem(m, k);
    const Buffer<Real> all = problem.products(0, kMost);
    for (const Index batch : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 64, 65}) {
      for (const Index first : {Index{0}, kMost - batch}) {
        const Buffer<Real> Y = problem.products(first, batch);
        for (Index i = 0; i < Y.size(); ++i)
          ASSERT_EQ(Y[i], all[first * m + i]) << m << " x " << k << ", batch " << batch;
      }
    }
  }
}

TEST(Product, TakesNoStartAsZeroAndAStartForEachVector) {
  for (const int n : {1, 3, 8, 17, 64, 130}) {
    constexpr Index kBatch = 7;
    const Problem problem(n, n);
    const Product product(n, n);
    Buffer<Real> zero(n), from_zero(kBatch * n), linear(kBatch * n), sum(kBatch * n);
    product(problem.A.data(), kBatch, problem.X.data(), zero.data(), from_zero.data());
    product(problem.A.data(), kBatch, problem.X.data(), nullptr, linear.data());
    for (Index i = 0; i < linear.size(); ++i) ASSERT_EQ(linear[i], from_zero[i]) << n;
    for (Index b = 0; b < kBatch; ++b)
      std::copy(problem.start.begin(), problem.start.end(), sum.data() + b * n);
    product.add(problem.A.data(), kBatch, problem.X.data(), sum.data(), sum.data());
    const Buffer<Real> expected = problem.products(0, kBatch);
    for (Index i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], expected[i]) << n;
  }
}

TEST(Product, AnEmptySumIsTheStart) {
  for (const int rows : {1, 3, 8, 40, 130}) {
    const Buffer<Real> nothing(1);
    Buffer<Real> Y(2 * rows);
    std::fill(Y.begin(), Y.end(), 7.0);
    Product(rows, 0)(nothing.data(), 2, nothing.data(), nullptr, Y.data());
    for (const Real y : Y) ASSERT_EQ(y, 0.0) << rows;
  }
}

TEST(Product, NaNIsNotLost) {
  Buffer<Real> A(64), B(72), C(72);
  std::fill(A.begin(), A.end(), 1.0);
  A[5] = std::nan("");
  Product(8, 8)(A.data(), 9, B.data(), nullptr, C.data());
  EXPECT_TRUE(std::isnan(C[5]));  // NaN times zero
}

TEST(LayerGradient, IsTheSumOfOuterProductsAndTheirFactors) {
  for (const auto& [m, n] : {std::pair{1, 1}, {3, 5}, {8, 8}, {16, 16}, {70, 10}, {130, 130}}) {
    for (const Index count : {0, 1, 2, 9, 40}) {
      Buffer<Real> x(count * n), delta(count * m), scratch((n + 1) * count), grad(m * (n + 1));
      RandomStream(4, 1).normal(0, x.size(), x.data());
      RandomStream(4, 2).normal(0, delta.size(), delta.data());
      layer_gradient({m, n, true}, count, x.data(), delta.data(), scratch.data(), grad.data());
      for (Index j = 0; j <= n; ++j) {
        for (Index i = 0; i < m; ++i) {
          double sum = 0;
          for (Index s = 0; s < count; ++s) sum += delta[s * m + i] * (j < n ? x[s * n + j] : 1.0);
          ASSERT_NEAR(grad[j * m + i], sum, 50.0 * static_cast<double>(count + 1) * kEps);
        }
      }
    }
  }
}

// Nothing is written beside the result, and nothing is read beside the operands that reaches it.
TEST(Product, KeepsToItsArrays) {
  for (const int n : {1, 2, 3, 5, 7, 8, 9, 12, 17, 33, 65}) {
    constexpr Index kBatch = 5, kAround = 16;
    const Problem problem(n, n);
    const Index size = kBatch * n, area = Index{n} * n;
    Buffer<Real> A(area + 2 * kAround), Y(size + 2 * kAround);
    std::fill(A.begin(), A.end(), std::numeric_limits<double>::quiet_NaN());
    std::fill(Y.begin(), Y.end(), 7.0);
    std::copy_n(problem.A.data(), area, A.data() + kAround);
    Product(n, n)(A.data() + kAround, kBatch, problem.X.data(), problem.start.data(),
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
