#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::bench {

/// C = A B for small column-major matrices without padding, A [m x k], B [k x n], C [m x n]: what
/// one would take for the products of a composition, LIBXSMM where the build has it, else BLAS.
template <typename T>
class Gemm {
 public:
  Gemm(int m, int n, int k);
  void operator()(const T* A, const T* B, T* C) const;

 private:
  void (*kernel_)(const T*, const T*, T*) = nullptr;
  int m_, n_, k_;
};

/// "LIBXSMM 1.17 (clx)", or the BLAS: what does these products.
std::string gemm_library();

extern template class Gemm<float>;
extern template class Gemm<double>;

}  // namespace deeppcr::bench
