#include "deeppcr/blocks/gemm.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "blocks/tiled_product.hpp"

#ifdef DEEPPCR_HAVE_LIBXSMM
#include <libxsmm.h>
#endif

extern "C" {
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
            const float*, const int*, const float*, const int*, const float*, float*, const int*);
// OpenBLAS tells its name; other BLAS libraries do not have this symbol.
char* openblas_get_config() __attribute__((weak));
char* openblas_get_corename() __attribute__((weak));
}

namespace deeppcr::blocks {

namespace {

/// Sides up to this length are one kernel; longer ones are cut into tiles.
constexpr int kLongestSide = 128;

void blas_gemm(int m, int n, int k, bool accumulate, const double* A, const double* B, double* C) {
  const double alpha = 1, beta = accumulate ? 1 : 0;
  dgemm_("N", "N", &m, &n, &k, &alpha, A, &m, B, &k, &beta, C, &m);
}

void blas_gemm(int m, int n, int k, bool accumulate, const float* A, const float* B, float* C) {
  const float alpha = 1, beta = accumulate ? 1 : 0;
  sgemm_("N", "N", &m, &n, &k, &alpha, A, &m, B, &k, &beta, C, &m);
}

// c_j = sum_p A_p b_pj, column by column: the inner loop runs along a column of A and C.
template <typename T>
void plain_gemm(int m, int n, int k, bool accumulate, const T* A, const T* B, T* C) {
  for (int j = 0; j < n; ++j) {
    T* c = C + static_cast<Index>(j) * m;
    if (!accumulate) std::fill(c, c + m, T{0});
    for (int p = 0; p < k; ++p) {
      const T b = B[static_cast<Index>(j) * k + p];
      const T* a = A + static_cast<Index>(p) * m;
      for (int i = 0; i < m; ++i) c[i] += a[i] * b;
    }
  }
}

}  // namespace

template <typename T>
Gemm<T>::Gemm(int m, int n, int k, bool accumulate) : m_(m), n_(n), k_(k), accumulate_(accumulate) {
  if (m < 1 || n < 1 || k < 1) return;
  if (std::max({m, n, k}) <= kLongestSide) {
    kernel_ = small_product<T>({m, n, k, m, k, m}, accumulate);
  } else {
    tiles_ = TiledProduct<T>::make({m, n, k, false, accumulate});
  }
}

template <typename T>
void Gemm<T>::general(const T* A, const T* B, T* C) const {
  constexpr double kSmall = 16.0 * 16.0 * 16.0;
  if (m_ == 0 || n_ == 0) return;
  if (tiles_) {
    (*tiles_)(A, B, C);
  } else if (static_cast<double>(m_) * n_ * k_ <= kSmall) {
    plain_gemm(m_, n_, k_, accumulate_, A, B, C);
  } else {
    blas_gemm(m_, n_, k_, accumulate_, A, B, C);
  }
}

GemmTransposed::GemmTransposed(int m, int n, int k, bool accumulate)
    : m_(m),
      n_(n),
      k_(k),
      accumulate_(accumulate),
      tiles_(TiledProduct<Real>::make({m, n, k, true, accumulate})) {}

void GemmTransposed::operator()(const Real* A, const Real* B, Real* C) const {
  if (tiles_) {
    (*tiles_)(A, B, C);
    return;
  }
  if (m_ == 0 || n_ == 0) return;
  const double alpha = 1, beta = accumulate_ ? 1 : 0;
  const int column = std::max(1, k_);
  dgemm_("T", "N", &m_, &n_, &k_, &alpha, A, &column, B, &column, &beta, C, &m_);
}

template class Gemm<float>;
template class Gemm<double>;

std::string gemm_library() {
#ifdef DEEPPCR_HAVE_LIBXSMM
  libxsmm_init();
  return fmt::format("LIBXSMM {} ({})", LIBXSMM_VERSION, libxsmm_get_target_arch());
#else
  return "plain C++";
#endif
}

std::string blas_library() {
  if (openblas_get_config == nullptr) return "unknown BLAS";
  const char* core = openblas_get_corename != nullptr ? openblas_get_corename() : "unknown core";
  return fmt::format("{} on {}", openblas_get_config(), core);
}

}  // namespace deeppcr::blocks
