#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "deeppcr/blocks/kernels.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::blocks {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

std::vector<Real> random_values(Index count, std::uint64_t stream) {
  std::vector<Real> values(static_cast<std::size_t>(count));
  RandomStream(5, stream).normal(0, count, values.data());
  return values;
}

/// start + A^T X, one entry after another.
std::vector<Real> expected(int rows, int columns, const std::vector<Real>& A,
                           const std::vector<Real>& X, const std::vector<Real>& start) {
  std::vector<Real> Y = start;
  for (std::size_t y = 0; y < Y.size(); ++y) {
    const std::size_t j = y % static_cast<std::size_t>(columns),
                      v = y / static_cast<std::size_t>(columns);
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i)
      Y[y] += A[j * static_cast<std::size_t>(rows) + i] * X[v * static_cast<std::size_t>(rows) + i];
  }
  return Y;
}

TEST(TransposedProduct, AgreesWithSumsOfProducts) {
  std::vector<std::pair<int, int>> sizes{{1, 7}, {7, 1}, {5, 200}, {64, 10}, {300, 65}, {12, 12}};
  for (const int n : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 40, 64, 65, 96, 130})
    sizes.emplace_back(n, n);
  for (const auto& [rows, columns] : sizes) {
    for (const int count : {0, 1, 3, 9, 70}) {
      const auto A = random_values(rows * columns, 1), X = random_values(rows * count, 2);
      const auto start = random_values(columns * count, 3);
      const TransposedProduct product(rows, columns);
      std::vector<Real> Y = start, linear(Y.size());
      product(A.data(), count, X.data(), Y.data(), Y.data());
      product(A.data(), count, X.data(), nullptr, linear.data());
      const auto sums = expected(rows, columns, A, X, start);
      for (std::size_t i = 0; i < Y.size(); ++i) {
        ASSERT_NEAR(Y[i], sums[i], 20.0 * (rows + 1) * kEps) << rows << " x " << columns;
        ASSERT_NEAR(linear[i], sums[i] - start[i], 20.0 * (rows + 1) * kEps) << rows;
      }
    }
  }
}

TEST(TransposedProduct, WithOuterIsTheProductAndTheOuterProduct) {
  for (const int n : {1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 96, 130}) {
    const auto size = static_cast<std::size_t>(n);
    const auto A = random_values(n * n, 1), x = random_values(n, 2), z = random_values(n, 4);
    const auto start = random_values(n, 3);
    std::vector<Real> y(size), C(size * size);
    TransposedProduct(n, n).with_outer(A.data(), x.data(), z.data(), start.data(), y.data(),
                                       C.data());
    const auto sums = expected(n, n, A, x, start);
    for (std::size_t j = 0; j < size; ++j) {
      ASSERT_NEAR(y[j], sums[j], 20.0 * (n + 1) * kEps) << n;
      for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(C[j * size + i], x[i] * z[j]) << n;
    }
  }
}

TEST(Transpose, SwapsRowsAndColumns) {
  const std::vector<double> A{1, 2, 3, 4, 5, 6};
  std::vector<double> At(6);
  transpose(2, 3, A.data(), At.data());
  EXPECT_EQ(At, (std::vector<double>{1, 3, 5, 2, 4, 6}));
}

TEST(Transpose, TakesAnySides) {
  // Below a register, whole ones, and bands of columns with a shorter last one.
  for (const int rows : {3, 4, 8, 12, 21, 104})
    for (const int columns : {1, 7, 8, 12, 18, 96, 97, 104, 136}) {
      const auto A = random_values(rows * columns, 4);
      std::vector<Real> At(A.size());
      transpose(rows, columns, A.data(), At.data());
      for (int j = 0; j < columns; ++j)
        for (int i = 0; i < rows; ++i)
          ASSERT_EQ(At[static_cast<std::size_t>(i * columns + j)],
                    A[static_cast<std::size_t>(j * rows + i)])
              << rows << " x " << columns;
    }
}

TEST(ScaleColumns, MultipliesEachColumnByTheSameNumbers) {
  for (const int n : {1, 3, 8, 13, 64}) {
    const auto s = random_values(n, 1), X = random_values(5 * n, 2);
    std::vector<Real> Y(X.size());
    scale_columns(n, 5, s.data(), X.data(), Y.data());
    for (std::size_t i = 0; i < Y.size(); ++i)
      ASSERT_EQ(Y[i], s[i % static_cast<std::size_t>(n)] * X[i]);
  }
}

}  // namespace
}  // namespace deeppcr::blocks
