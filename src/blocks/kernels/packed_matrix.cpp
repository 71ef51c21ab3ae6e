#include "deeppcr/blocks/packed_matrix.hpp"

#include "blocks/kernels/sums.hpp"
#include "deeppcr/core/work.hpp"

namespace deeppcr::blocks {

namespace {

/// A tile of kVectors x kColumns sums, and the vectors of W beside them, fill the registers.
constexpr int kVectors = simd::kRegisters >= 32 ? 4 : 2, kColumns = columns_for(kVectors, 1);

template <typename T>
constexpr int kPanel = kVectors* simd::kWidest<T>;

}  // namespace

template <typename T>
PackedMatrix<T>::PackedMatrix(int rows, int cols, const Real* W, const Real* bias)
    : rows_(rows), cols_(cols) {
  bias_.reset(padded_rows());
  packed_.reset(Index{padded_rows()} * cols);
  for (int i = 0; i < rows && bias != nullptr; ++i) bias_[i] = static_cast<T>(bias[i]);
  for (int k = 0; k < cols; ++k) {
    for (int i = 0; i < rows; ++i) {
      const Index panel = i / kPanel<T>;
      packed_[(panel * cols + k) * kPanel<T> + i % kPanel<T>] =
          static_cast<T>(W[Index{k} * rows + i]);
    }
  }
}

template <typename T>
int PackedMatrix<T>::panels() const {
  return (rows_ + kPanel<T> - 1) / kPanel<T>;
}

template <typename T>
int PackedMatrix<T>::padded_rows() const {
  return panels() * kPanel<T>;
}

template <typename T>
void PackedMatrix<T>::multiply_panels(const T* bias, int first, int last, Index count, const T* X,
                                      Index stride, T* Y) const {
  count_product(Index{last - first} * kPanel<T>, cols_, count);
  for (int p = first; p < last; ++p) {
    const Index row = Index{p} * kPanel<T>;
    multiply_columns<T, simd::Widest<T>, kVectors, kColumns, 1>(
        {cols_, kPanel<T> - simd::kWidest<T>, packed_.data() + row * cols_, kPanel<T>, X, stride,
         bias == nullptr ? nullptr : bias + row, 0, Y + row, padded_rows()},
        count);
  }
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;

}  // namespace deeppcr::blocks
