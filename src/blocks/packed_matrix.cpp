#include "deeppcr/blocks/packed_matrix.hpp"

#include <algorithm>

namespace deeppcr::blocks {

namespace {

// A tile of kVectors x kColumns accumulators, and the vectors of W beside them, fill the registers.
#ifdef __AVX512F__
constexpr int kVectorBytes = 64;
constexpr int kVectors = 4;
#else
constexpr int kVectorBytes = 32;
constexpr int kVectors = 2;
#endif
constexpr int kColumns = 6;
constexpr int kLineBytes = 64;
// The second tile of a panel and those behind it each fetch a part of the next panel, a line for
// each column: else the first tile there waits for memory.
constexpr int kFetchingTiles = kVectors * kVectorBytes / kLineBytes;

template <typename T>
struct Vector {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};

template <typename T>
constexpr int kPanel = kVectors* kVectorBytes / static_cast<int>(sizeof(T));

template <typename T>
struct Operands {
  int cols;
  const T* W;
  const T* bias;
  const T* X;
  Index stride;
  T* Y;
  Index y_stride;
  const T* ahead;  ///< a line for each column, wanted soon; may be null
};

// Y[j, i] = bias[i] + sum_k W[i, k] X[j, k], for N vectors and P panels at once.
template <typename T, int N, int P>
void tile(const Operands<T>& o) {
  using V = typename Vector<T>::type;
  constexpr int kAll = P * kVectors;
  const Index panel = Index{o.cols} * kPanel<T>;
  V sum[N][kAll];
  for (int v = 0; v < kAll; ++v)
    for (int j = 0; j < N; ++j) sum[j][v] = reinterpret_cast<const V*>(o.bias)[v];
  for (int k = 0; k < o.cols; ++k) {
    if (N == kColumns && o.ahead != nullptr)
      __builtin_prefetch(o.ahead + k * (kLineBytes / static_cast<int>(sizeof(T))), 0, 2);
    V w[kAll];
    for (int p = 0; p < P; ++p)
      for (int v = 0; v < kVectors; ++v)
        w[p * kVectors + v] = reinterpret_cast<const V*>(o.W + p * panel + k * kPanel<T>)[v];
    for (int j = 0; j < N; ++j) {
      const T x = o.X[j * o.stride + k];
      for (int v = 0; v < kAll; ++v) sum[j][v] += w[v] * x;
    }
  }
  for (int j = 0; j < N; ++j)
    for (int v = 0; v < kAll; ++v) reinterpret_cast<V*>(o.Y + j * o.y_stride)[v] = sum[j][v];
}

template <typename T>
void tile(int count, const Operands<T>& o) {
  switch (count) {
    case 1:
      return tile<T, 1, 1>(o);
    case 2:
      return tile<T, 2, 1>(o);
    case 3:
      return tile<T, 3, 1>(o);
    case 4:
      return tile<T, 4, 1>(o);
    case 5:
      return tile<T, 5, 1>(o);
    default:
      return tile<T, kColumns, 1>(o);
  }
}

}  // namespace

template <typename T>
PackedMatrix<T>::PackedMatrix(int rows, int cols, const Real* W, const Real* bias)
    : rows_(rows), cols_(cols) {
  bias_.reset(padded_rows());
  zero_.reset(padded_rows());
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
void PackedMatrix<T>::multiply(Index count, const T* X, Index stride, T* Y) const {
  multiply_panels(bias_.data(), 0, panels(), count, X, stride, Y);
}

template <typename T>
void PackedMatrix<T>::multiply_linear(Index count, const T* X, Index stride, T* Y) const {
  multiply_panels(zero_.data(), 0, panels(), count, X, stride, Y);
}

template <typename T>
void PackedMatrix<T>::multiply_panels(int first, int last, Index count, const T* X, Index stride,
                                      T* Y) const {
  multiply_panels(bias_.data(), first, last, count, X, stride, Y);
}

template <typename T>
void PackedMatrix<T>::multiply_panels(const T* bias, int first, int last, Index count, const T* X,
                                      Index stride, T* Y) const {
  const Index panel = Index{cols_} * kPanel<T>;
  int p = first;
  const auto ahead = [&](Index j) -> const T* {
    const Index tiles = j / kColumns;
    if (tiles < 1 || tiles > kFetchingTiles || p + 1 == last) return nullptr;
    return packed_.data() + (p + 1) * panel + (tiles - 1) * panel / kFetchingTiles;
  };
  const auto operands = [&](Index j) {
    return Operands<T>{cols_,
                       packed_.data() + p * panel,
                       bias + p * kPanel<T>,
                       X + j * stride,
                       stride,
                       Y + j * padded_rows() + p * kPanel<T>,
                       padded_rows(),
                       ahead(j)};
  };
  // One vector: two panels at once, so that the sums do not wait for each other.
  for (; count == 1 && p + 2 <= last; p += 2) tile<T, 1, 2>(operands(0));
  for (; p < last; ++p)
    for (Index j = 0; j < count; j += kColumns)
      tile<T>(static_cast<int>(std::min<Index>(kColumns, count - j)), operands(j));
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;

}  // namespace deeppcr::blocks
