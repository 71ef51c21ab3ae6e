#include <libxsmm.h>

#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "hand_loops.hpp"

namespace deeppcr::bench {
namespace {

/// C [m x n] = beta C + A [m x k] B [k x n]
libxsmm_dmmfunction kernel(int m, int n, int k, double beta) {
  const double alpha = 1;
  const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  return libxsmm_dmmdispatch(m, n, k, &m, &k, &m, &alpha, &beta, &flags, &prefetch);
}

/// LIBXSMM has no kernels with a transposed left factor: W is transposed first, or, for one column,
/// g^T W is taken with the row vector on the left.
class LibxsmmLoops final : public HandLoops {
 public:
  explicit LibxsmmLoops(const LayerSizes& sizes)
      : s_(sizes),
        n_(sizes.width),
        batch_(static_cast<int>(sizes.batch)),
        add_layer_(kernel(n_, batch_, n_, 1)),
        layer_(kernel(n_, batch_, n_, 0)),
        add_column_(kernel(n_, 1, n_, 1)),
        row_(kernel(1, n_, n_, 0)),
        add_row_(kernel(1, n_, n_, 1)),
        outer_(kernel(n_, n_, batch_, 0)),
        delta_(s_.state()),
        transposed_(s_.block()),
        input_transposed_(s_.state()) {}
  const char* library() const override { return "LIBXSMM"; }

  void forward(const Real* theta, Real* z) override {
    for (Index l = 0; l < s_.steps; ++l, theta += s_.step_parameters(), z += s_.state()) {
      Real* y = z + s_.state();
      for (Index b = 0; b < s_.batch; ++b) std::copy_n(theta + s_.block(), n_, y + b * n_);
      add_layer_(theta, z, y);
      if (!s_.relu) continue;
      for (Index i = 0; i < s_.state(); ++i) y[i] = y[i] > 0 ? y[i] : 0;
    }
  }

  void backward(const Real* theta, const Real* z, const Real* c, Real* g) override {
    std::copy_n(c + s_.steps * s_.state(), s_.state(), g + s_.steps * s_.state());
    for (Index l = s_.steps - 1; l >= 0; --l) {
      mask(z + (l + 1) * s_.state(), g + (l + 1) * s_.state());
      Real* before = g + l * s_.state();
      std::copy_n(c + l * s_.state(), s_.state(), before);
      const Real* W = theta + l * s_.step_parameters();
      if (batch_ == 1) {
        add_row_(delta_.data(), W, before);
      } else {
        libxsmm_otrans(transposed_.data(), W, sizeof(Real), n_, n_, n_, n_);
        add_layer_(transposed_.data(), delta_.data(), before);
      }
    }
  }

  void gradient(const Real* theta, const Real* z, Real* g, Real* grads) override {
    for (Index l = s_.steps - 1; l >= 0; --l) {
      const Real* after = z + (l + 1) * s_.state();
      mask(after, g + (l + 1) * s_.state());
      parameters(after - s_.state(), grads + l * s_.step_parameters());
      const Real* W = theta + l * s_.step_parameters();
      if (batch_ == 1) {
        row_(delta_.data(), W, g + l * s_.state());
      } else {
        libxsmm_otrans(transposed_.data(), W, sizeof(Real), n_, n_, n_, n_);
        layer_(transposed_.data(), delta_.data(), g + l * s_.state());
      }
    }
  }

  void substitute(const Real* A, const Real* r, Real* d) override {
    std::copy_n(r, s_.state(), d);
    for (Index i = s_.batch; i < s_.steps * s_.batch; ++i) {
      std::copy_n(r + i * n_, n_, d + i * n_);
      add_column_(A + i * s_.block(), d + (i - s_.batch) * n_, d + i * n_);
    }
  }

  void substitute_transposed(const Real* A, const Real* c, Real* g) override {
    const Index last = (s_.steps - 1) * s_.batch;
    std::copy_n(c + last * n_, s_.state(), g + last * n_);
    for (Index l = s_.steps - 1; l > 0; --l) {
      for (Index i = l * s_.batch; i < (l + 1) * s_.batch; ++i) {
        Real* y = g + (i - s_.batch) * n_;
        std::copy_n(c + (i - s_.batch) * n_, n_, y);
        add_row_(g + i * n_, A + i * s_.block(), y);
      }
    }
  }

 private:
  /// delta = sigma' .* g
  void mask(const Real* after, const Real* g) {
    for (Index i = 0; i < s_.state(); ++i) delta_[i] = !s_.relu || after[i] > 0 ? g[i] : 0;
  }

  /// dW = delta z^T, db = sum of delta
  void parameters(const Real* z, Real* grad) {
    const Real* zt = z;
    if (batch_ > 1) {
      libxsmm_otrans(input_transposed_.data(), z, sizeof(Real), n_, batch_, n_, batch_);
      zt = input_transposed_.data();
    }
    outer_(delta_.data(), zt, grad);
    Real* db = grad + s_.block();
    std::copy_n(delta_.data(), n_, db);
    for (Index b = 1; b < s_.batch; ++b)
      for (Index i = 0; i < n_; ++i) db[i] += delta_[b * n_ + i];
  }

  LayerSizes s_;
  int n_, batch_;
  libxsmm_dmmfunction add_layer_, layer_, add_column_, row_, add_row_, outer_;
  Buffer<Real> delta_, transposed_, input_transposed_;
};

}  // namespace

std::unique_ptr<HandLoops> make_libxsmm_loops(const LayerSizes& sizes) {
  return std::make_unique<LibxsmmLoops>(sizes);
}

}  // namespace deeppcr::bench
