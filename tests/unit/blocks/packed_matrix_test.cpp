#include "deeppcr/blocks/packed_matrix.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "deeppcr/core/random.hpp"

namespace deeppcr::blocks {
namespace {

template <typename T>
struct Product {
  Product(int rows, int cols, Index most)
      : W(Index{rows} * cols), bias(rows), X(most * cols), matrix() {
    RandomStream(5, 1).normal(0, W.size(), W.data());
    RandomStream(5, 2).normal(0, rows, bias.data());
    Buffer<Real> x(X.size());
    RandomStream(5, 3).normal(0, x.size(), x.data());
    for (Index i = 0; i < x.size(); ++i) X[i] = static_cast<T>(x[i]);
    matrix = PackedMatrix<T>(rows, cols, W.data(), bias.data());
  }
  Buffer<T> times(Index first, Index count) const {
    Buffer<T> Y(count * matrix.padded_rows());
    matrix.multiply(count, X.data() + first * matrix.cols(), matrix.cols(), Y.data());
    return Y;
  }
  Buffer<Real> W, bias;
  Buffer<T> X;
  PackedMatrix<T> matrix;
};

template <typename T>
void expect_right_and_independent_of_company(int rows, int cols) {
  constexpr Index kMost = 14;
  const Product<T> product(rows, cols, kMost);
  const Buffer<T> together = product.times(0, kMost);
  const int stride = product.matrix.padded_rows();
  const double tolerance =
      20.0 * (cols + 1) * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (Index j = 0; j < kMost; ++j) {
    for (int i = 0; i < stride; ++i) {
      double sum = i < rows ? product.bias[i] : 0;
      for (int k = 0; k < cols && i < rows; ++k)
        sum += product.W[Index{k} * rows + i] * static_cast<double>(product.X[j * cols + k]);
      ASSERT_NEAR(static_cast<double>(together[j * stride + i]), sum, tolerance) << i << " " << j;
    }
  }
  for (Index count = 1; count <= 7; ++count) {
    const Buffer<T> few = product.times(kMost - count, count);
    for (Index i = 0; i < few.size(); ++i)
      ASSERT_EQ(few[i], together[(kMost - count) * stride + i]) << count << " vectors";
  }
}

TEST(PackedMatrix, IsRightAndEachVectorsProductIsIndependentOfItsCompany) {
  for (const int rows : {1, 31, 64, 65, 200}) {
    for (const int cols : {1, 7, 96}) {
      expect_right_and_independent_of_company<float>(rows, cols);
      expect_right_and_independent_of_company<double>(rows, cols);
    }
  }
}

TEST(PackedMatrix, PanelsAndProductsWithoutBiasArePartsOfTheWhole) {
  const Product<double> product(200, 9, 3);
  const PackedMatrix<double>& W = product.matrix;
  const Buffer<double> whole = product.times(0, 3);
  Buffer<double> parts(whole.size()), linear(whole.size());
  W.multiply_panels(0, 2, 3, product.X.data(), 9, parts.data());
  W.multiply_panels(2, W.panels(), 3, product.X.data(), 9, parts.data());
  W.multiply_linear(3, product.X.data(), 9, linear.data());
  for (Index i = 0; i < whole.size(); ++i) {
    ASSERT_EQ(parts[i], whole[i]);
    const Index row = i % W.padded_rows();
    ASSERT_NEAR(linear[i] + (row < 200 ? product.bias[row] : 0), whole[i], 1e-13);
  }
}

}  // namespace
}  // namespace deeppcr::blocks
