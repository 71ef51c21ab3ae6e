#pragma once

#include <memory>
#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

template <typename T>
class TiledProduct;

/// C = A B or C = C + A B for column-major matrices without padding: A [m x k], B [k x n], C
/// [m x n].
///
/// The kernel is chosen once, at construction: a LIBXSMM one where the build has it, or several of
/// them over tiles where a side is longer than 128; else plain C++ or BLAS. A call of one kernel
/// costs an indirect jump. C must not overlap A or B. Cost: 2 m n k flops.
template <typename T>
class Gemm {
 public:
  Gemm() = default;
  Gemm(int m, int n, int k, bool accumulate);

  void operator()(const T* A, const T* B, T* C) const {
    if (kernel_ != nullptr) {
      kernel_(A, B, C);
    } else {
      general(A, B, C);
    }
  }

 private:
  void general(const T* A, const T* B, T* C) const;

  void (*kernel_)(const T*, const T*, T*) = nullptr;
  int m_ = 0, n_ = 0, k_ = 0;
  bool accumulate_ = false;
  std::shared_ptr<const TiledProduct<T>> tiles_;
};

/// C = A^T B or C = C + A^T B: A [k x m], B [k x n], C [m x n]; else as Gemm. A is transposed tile
/// by tile within the second-level cache. Without LIBXSMM BLAS does it.
class GemmTransposed {
 public:
  GemmTransposed() = default;
  GemmTransposed(int m, int n, int k, bool accumulate);

  void operator()(const Real* A, const Real* B, Real* C) const;

 private:
  int m_ = 0, n_ = 0, k_ = 0;
  bool accumulate_ = false;
  std::shared_ptr<const TiledProduct<Real>> tiles_;
};

extern template class Gemm<float>;
extern template class Gemm<double>;

/// y = y + A^T x for a column-major n x n block: a row of dot products, so A is read once and in
/// order.
void gemv_transposed_add(int n, const Real* A, const Real* x, Real* y);
/// At = A^T, [rows x cols] column-major to [cols x rows]; A has lda >= rows reals from a column to
/// the next.
void transpose(int rows, int cols, const Real* A, Index lda, Real* At);
/// The same without padding.
void transpose(int rows, int cols, const Real* A, Real* At);

/// "LIBXSMM 1.17 (clx)" or "plain C++": what does the small products here.
std::string gemm_library();
/// Name and core type of the BLAS linked, where it tells.
std::string blas_library();

}  // namespace deeppcr::blocks
