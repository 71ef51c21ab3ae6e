#include "gemm.hpp"

#include <fmt/format.h>

#include "deeppcr/blocks/kernels.hpp"

#ifdef DEEPPCR_HAVE_LIBXSMM
#include <libxsmm.h>
#endif

extern "C" {
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
            const float*, const int*, const float*, const int*, const float*, float*, const int*);
}

namespace deeppcr::bench {
namespace {

void blas(int m, int n, int k, const double* A, const double* B, double* C) {
  const double one = 1, zero = 0;
  dgemm_("N", "N", &m, &n, &k, &one, A, &m, B, &k, &zero, C, &m);
}
void blas(int m, int n, int k, const float* A, const float* B, float* C) {
  const float one = 1, zero = 0;
  sgemm_("N", "N", &m, &n, &k, &one, A, &m, B, &k, &zero, C, &m);
}

#ifdef DEEPPCR_HAVE_LIBXSMM
libxsmm_dmmfunction dispatch(int m, int n, int k, double one) {
  const double zero = 0;
  const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  return libxsmm_dmmdispatch(m, n, k, &m, &k, &m, &one, &zero, &flags, &prefetch);
}
libxsmm_smmfunction dispatch(int m, int n, int k, float one) {
  const float zero = 0;
  const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  return libxsmm_smmdispatch(m, n, k, &m, &k, &m, &one, &zero, &flags, &prefetch);
}
#endif

}  // namespace

template <typename T>
Gemm<T>::Gemm(int m, int n, int k) : m_(m), n_(n), k_(k) {
#ifdef DEEPPCR_HAVE_LIBXSMM
  kernel_ = reinterpret_cast<void (*)(const T*, const T*, T*)>(dispatch(m, n, k, T{1}));
#endif
}

template <typename T>
void Gemm<T>::operator()(const T* A, const T* B, T* C) const {
  if (kernel_ != nullptr) {
    kernel_(A, B, C);
  } else {
    blas(m_, n_, k_, A, B, C);
  }
}

template class Gemm<float>;
template class Gemm<double>;

std::string gemm_library() {
#ifdef DEEPPCR_HAVE_LIBXSMM
  libxsmm_init();
  return fmt::format("LIBXSMM {} ({})", LIBXSMM_VERSION, libxsmm_get_target_arch());
#else
  return blocks::blas_library();
#endif
}

}  // namespace deeppcr::bench
