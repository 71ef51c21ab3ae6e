#include "deeppcr/blocks/gemm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "deeppcr/core/random.hpp"

namespace deeppcr::blocks {
namespace {

template <typename T>
std::vector<T> random_values(int count, std::uint64_t stream) {
  std::vector<T> values;
  for (int i = 0; i < count; ++i)
    values.push_back(static_cast<T>(RandomStream(5, stream).normal(i)));
  return values;
}

template <typename T>
class GemmTest : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GemmTest, Types);

TYPED_TEST(GemmTest, MatchesTheDefinition) {
  using T = TypeParam;
  const int sizes[][3] = {{1, 1, 1},    {2, 3, 2},      {8, 9, 8},     {17, 18, 17},
                          {16, 1, 16},  {64, 65, 64},   {5, 4, 7},     {130, 131, 130},
                          {200, 3, 64}, {20, 200, 129}, {32, 64, 256}, {1030, 3, 64},
                          {2049, 65, 8}};
  for (const auto& [m, n, k] : sizes) {
    for (const bool accumulate : {false, true}) {
      const auto A = random_values<T>(m * k, 1), B = random_values<T>(k * n, 2);
      const auto start = random_values<T>(m * n, 3);
      auto C = start;
      Gemm<T>(m, n, k, accumulate)(A.data(), B.data(), C.data());
      const double tolerance = 8.0 * k * std::numeric_limits<T>::epsilon();
      for (int j = 0; j < n; ++j) {
        for (int i = 0; i < m; ++i) {
          double sum = accumulate ? start[static_cast<std::size_t>(j * m + i)] : 0.0, size = 1;
          for (int p = 0; p < k; ++p) {
            const double term = static_cast<double>(A[static_cast<std::size_t>(p * m + i)]) *
                                B[static_cast<std::size_t>(j * k + p)];
            sum += term;
            size += std::abs(term);
          }
          ASSERT_NEAR(C[static_cast<std::size_t>(j * m + i)], sum, tolerance * size)
              << m << " " << n << " " << k;
        }
      }
    }
  }
}

TEST(Gemm, NaNIsNotLost) {
  std::vector<double> A(64, 1.0), B(72, 0.0), C(72);
  A[5] = std::nan("");
  Gemm<double>(8, 9, 8, false)(A.data(), B.data(), C.data());
  EXPECT_TRUE(std::isnan(C[5]));  // NaN times zero
}

TEST(GemvTransposed, MatchesTheDefinition) {
  for (const int n : {1, 2, 3, 8, 17, 64}) {
    const auto A = random_values<double>(n * n, 1), x = random_values<double>(n, 2);
    auto y = random_values<double>(n, 3);
    const auto start = y;
    gemv_transposed_add(n, A.data(), x.data(), y.data());
    for (int j = 0; j < n; ++j) {
      double sum = start[static_cast<std::size_t>(j)];
      for (int i = 0; i < n; ++i)
        sum += A[static_cast<std::size_t>(j * n + i)] * x[static_cast<std::size_t>(i)];
      ASSERT_NEAR(y[static_cast<std::size_t>(j)], sum, 1e-14 * n * n);
    }
  }
}

// Sides below, at and above the lengths of tiles, with and without a rest.
TEST(GemmTransposed, IsTheProductWithTheTransposedMatrix) {
  for (const int m : {1, 32, 65, 300}) {
    for (const int k : {1, 64, 200, 512, 513, 1100}) {
      const auto A = random_values<double>(k * m, 1), B = random_values<double>(k * 70, 2);
      const auto start = random_values<double>(m * 70, 3);
      std::vector<double> At(A.size());
      transpose(k, m, A.data(), At.data());
      for (const int n : {0, 1, 9, 70}) {
        for (const bool accumulate : {false, true}) {
          auto C = start, expected = start;
          GemmTransposed(m, n, k, accumulate)(A.data(), B.data(), C.data());
          Gemm<double>(m, n, k, accumulate)(At.data(), B.data(), expected.data());
          for (std::size_t i = 0; i < C.size(); ++i)
            ASSERT_NEAR(C[i], expected[i], 1e-13 * k) << m << " " << n << " " << k;
        }
      }
    }
  }
}

TEST(GemmTransposed, AnEmptySumIsZero) {
  std::vector<double> C(6, 7.0);
  GemmTransposed(3, 2, 0, false)(nullptr, nullptr, C.data());
  EXPECT_EQ(C, std::vector<double>(6, 0.0));
}

TEST(Transpose, SwapsRowsAndColumns) {
  const std::vector<double> A{1, 2, 3, 4, 5, 6};
  std::vector<double> At(6);
  transpose(2, 3, A.data(), At.data());
  EXPECT_EQ(At, (std::vector<double>{1, 3, 5, 2, 4, 6}));
}

TEST(Transpose, TakesAPartOfALargerMatrix) {
  constexpr int rows = 21, cols = 18, lda = 30;
  const auto A = random_values<double>(lda * cols, 4);
  std::vector<double> At(rows * cols);
  transpose(rows, cols, A.data(), lda, At.data());
  for (int j = 0; j < cols; ++j)
    for (int i = 0; i < rows; ++i)
      ASSERT_EQ(At[static_cast<std::size_t>(i * cols + j)],
                A[static_cast<std::size_t>(j * lda + i)]);
}

}  // namespace
}  // namespace deeppcr::blocks
