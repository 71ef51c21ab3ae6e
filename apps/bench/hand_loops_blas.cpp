#include <algorithm>

#include "deeppcr/core/buffer.hpp"
#include "hand_loops.hpp"

extern "C" {
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
void dgemv_(const char*, const int*, const int*, const double*, const double*, const int*,
            const double*, const int*, const double*, double*, const int*);
}

namespace deeppcr::bench {
namespace {

constexpr int kOne = 1;
constexpr double kUnit = 1, kZero = 0;

class BlasLoops final : public HandLoops {
 public:
  explicit BlasLoops(const LayerSizes& sizes)
      : s_(sizes), n_(sizes.width), batch_(static_cast<int>(sizes.batch)), delta_(s_.state()) {}
  const char* library() const override { return "OpenBLAS"; }

  void forward(const Real* theta, Real* z) override {
    for (Index l = 0; l < s_.steps; ++l, theta += s_.step_parameters(), z += s_.state()) {
      Real* y = z + s_.state();
      for (Index b = 0; b < s_.batch; ++b) std::copy_n(theta + s_.block(), n_, y + b * n_);
      multiply("N", theta, z, kUnit, y);
      if (!s_.relu) continue;
      for (Index i = 0; i < s_.state(); ++i) y[i] = y[i] > 0 ? y[i] : 0;
    }
  }

  void backward(const Real* theta, const Real* z, const Real* c, Real* g) override {
    std::copy_n(c + s_.steps * s_.state(), s_.state(), g + s_.steps * s_.state());
    for (Index l = s_.steps - 1; l >= 0; --l) {
      mask(z + (l + 1) * s_.state(), g + (l + 1) * s_.state());
      std::copy_n(c + l * s_.state(), s_.state(), g + l * s_.state());
      multiply("T", theta + l * s_.step_parameters(), delta_.data(), kUnit, g + l * s_.state());
    }
  }

  void gradient(const Real* theta, const Real* z, Real* g, Real* grads) override {
    for (Index l = s_.steps - 1; l >= 0; --l) {
      const Real* after = z + (l + 1) * s_.state();
      mask(after, g + (l + 1) * s_.state());
      parameters(after - s_.state(), grads + l * s_.step_parameters());
      multiply("T", theta + l * s_.step_parameters(), delta_.data(), kZero, g + l * s_.state());
    }
  }

  void substitute(const Real* A, const Real* r, Real* d) override {
    std::copy_n(r, s_.state(), d);
    for (Index l = 1; l < s_.steps; ++l) {
      std::copy_n(r + l * s_.state(), s_.state(), d + l * s_.state());
      for (Index b = 0; b < s_.batch; ++b)
        dgemv_("N", &n_, &n_, &kUnit, A + (l * s_.batch + b) * s_.block(), &n_,
               d + (l - 1) * s_.state() + b * n_, &kOne, &kUnit, d + l * s_.state() + b * n_,
               &kOne);
    }
  }

  void substitute_transposed(const Real* A, const Real* c, Real* g) override {
    std::copy_n(c + (s_.steps - 1) * s_.state(), s_.state(), g + (s_.steps - 1) * s_.state());
    for (Index l = s_.steps - 1; l > 0; --l) {
      std::copy_n(c + (l - 1) * s_.state(), s_.state(), g + (l - 1) * s_.state());
      for (Index b = 0; b < s_.batch; ++b)
        dgemv_("T", &n_, &n_, &kUnit, A + (l * s_.batch + b) * s_.block(), &n_,
               g + l * s_.state() + b * n_, &kOne, &kUnit, g + (l - 1) * s_.state() + b * n_,
               &kOne);
    }
  }

 private:
  /// delta = sigma' .* g
  void mask(const Real* after, const Real* g) {
    for (Index i = 0; i < s_.state(); ++i) delta_[i] = !s_.relu || after[i] > 0 ? g[i] : 0;
  }

  /// Y = beta Y + op(W) X
  void multiply(const char* op, const Real* W, const Real* X, double beta, Real* Y) {
    if (batch_ == 1) {
      dgemv_(op, &n_, &n_, &kUnit, W, &n_, X, &kOne, &beta, Y, &kOne);
    } else {
      dgemm_(op, "N", &n_, &batch_, &n_, &kUnit, W, &n_, X, &n_, &beta, Y, &n_);
    }
  }

  /// dW = delta z^T, db = sum of delta
  void parameters(const Real* z, Real* grad) {
    dgemm_("N", "T", &n_, &n_, &batch_, &kUnit, delta_.data(), &n_, z, &n_, &kZero, grad, &n_);
    Real* db = grad + s_.block();
    std::copy_n(delta_.data(), n_, db);
    for (Index b = 1; b < s_.batch; ++b)
      for (Index i = 0; i < n_; ++i) db[i] += delta_[b * n_ + i];
  }

  LayerSizes s_;
  int n_, batch_;
  Buffer<Real> delta_;
};

}  // namespace

std::unique_ptr<HandLoops> make_blas_loops(const LayerSizes& sizes) {
  return std::make_unique<BlasLoops>(sizes);
}

std::vector<std::unique_ptr<HandLoops>> make_hand_loops(const LayerSizes& sizes) {
  std::vector<std::unique_ptr<HandLoops>> all;
#ifdef DEEPPCR_HAVE_LIBXSMM
  all.push_back(make_libxsmm_loops(sizes));
#endif
  all.push_back(make_blas_loops(sizes));
#ifdef DEEPPCR_HAVE_EIGEN
  all.push_back(make_eigen_loops(sizes));
#endif
  return all;
}

}  // namespace deeppcr::bench
