#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::blocks {

/// C = A B or C = C + A B for small column-major matrices without padding: A [m x k], B [k x n], C
/// [m x n].
///
/// The kernel is chosen once, at construction: a LIBXSMM one where the build has it and the size is
/// small, else plain C++ or BLAS. A call costs an indirect jump. C must not overlap A or B. Cost: 2
/// m n k flops.
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
};

extern template class Gemm<float>;
extern template class Gemm<double>;

/// y = y + A^T x for a column-major n x n block: a row of dot products, so A is read once and in
/// order.
void gemv_transposed_add(int n, const Real* A, const Real* x, Real* y);
/// Y = A^T X for a column-major n x n block and any number of columns, by BLAS: for blocks so large
/// that transposing them first costs as much as a third of the product. Y must not overlap A or X.
/// Cost: 2 n^2 columns flops.
void gemm_transposed(int n, Index columns, const Real* A, const Real* X, Real* Y);
/// At = A^T, [rows x cols] column-major to [cols x rows].
void transpose(int rows, int cols, const Real* A, Real* At);

/// "LIBXSMM 1.17 (clx)" or "plain C++": what does the small products here.
std::string gemm_library();
/// Name and core type of the BLAS linked, where it tells.
std::string blas_library();

}  // namespace deeppcr::blocks
