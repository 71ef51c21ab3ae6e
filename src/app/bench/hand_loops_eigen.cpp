#include <Eigen/Core>

#include "hand_loops.hpp"

namespace deeppcr::app::bench {
namespace {

using Matrix = Eigen::Map<const Eigen::MatrixXd>;
using MutableMatrix = Eigen::Map<Eigen::MatrixXd>;
using Vector = Eigen::Map<const Eigen::VectorXd>;
using MutableVector = Eigen::Map<Eigen::VectorXd>;

class EigenLoops final : public HandLoops {
 public:
  explicit EigenLoops(const LayerSizes& sizes) : s_(sizes), n_(sizes.width) {
    delta_.resize(n_, s_.batch);
    column_.resize(n_);
  }
  const char* library() const override { return "Eigen"; }

  void forward(const Real* theta, Real* z) override {
    for (Index l = 0; l < s_.steps; ++l, theta += s_.step_parameters(), z += s_.state()) {
      if (s_.batch == 1) {
        forward_vector(theta, z);
      } else {
        forward_matrix(theta, z);
      }
    }
  }

  void backward(const Real* theta, const Real* z, Real* g) override {
    gradient(theta, z, g, nullptr);
  }

  void gradient(const Real* theta, const Real* z, Real* g, Real* grads) override {
    for (Index l = s_.steps - 1; l >= 0; --l) {
      Real* grad = grads == nullptr ? nullptr : grads + l * s_.step_parameters();
      const Real* W = theta + l * s_.step_parameters();
      if (s_.batch == 1) {
        gradient_vector(W, z + l * s_.state(), g + l * s_.state(), grad);
      } else {
        gradient_matrix(W, z + l * s_.state(), g + l * s_.state(), grad);
      }
    }
  }

  void substitute(const Real* A, const Real* r, Real* d) override {
    std::copy_n(r, s_.state(), d);
    for (Index i = s_.batch; i < s_.steps * s_.batch; ++i) {
      MutableVector y(d + i * n_, n_);
      y = Vector(r + i * n_, n_);
      y.noalias() += Matrix(A + i * s_.block(), n_, n_) * Vector(d + (i - s_.batch) * n_, n_);
    }
  }

  void substitute_transposed(const Real* A, const Real* c, Real* g) override {
    const Index last = (s_.steps - 1) * s_.batch;
    std::copy_n(c + last * n_, s_.state(), g + last * n_);
    for (Index l = s_.steps - 1; l > 0; --l) {
      for (Index i = l * s_.batch; i < (l + 1) * s_.batch; ++i) {
        MutableVector y(g + (i - s_.batch) * n_, n_);
        y = Vector(c + (i - s_.batch) * n_, n_);
        y.noalias() += Matrix(A + i * s_.block(), n_, n_).transpose() * Vector(g + i * n_, n_);
      }
    }
  }

 private:
  void forward_vector(const Real* theta, Real* z) {
    MutableVector y(z + n_, n_);
    y = Vector(theta + s_.block(), n_);
    y.noalias() += Matrix(theta, n_, n_) * Vector(z, n_);
    if (s_.relu) y = y.cwiseMax(0.0);
  }

  void forward_matrix(const Real* theta, Real* z) {
    MutableMatrix Y(z + s_.state(), n_, s_.batch);
    Y.colwise() = Vector(theta + s_.block(), n_);
    Y.noalias() += Matrix(theta, n_, n_) * Matrix(z, n_, s_.batch);
    if (s_.relu) Y = Y.cwiseMax(0.0);
  }

  void gradient_vector(const Real* W, const Real* z, Real* g, Real* grad) {
    const Vector after(z + n_, n_), g_after(g + n_, n_);
    if (s_.relu) {
      column_ = (after.array() > 0).select(g_after, 0.0);
    } else {
      column_ = g_after;
    }
    if (grad != nullptr) {
      MutableMatrix(grad, n_, n_).noalias() = column_ * Vector(z, n_).transpose();
      MutableVector(grad + s_.block(), n_) = column_;
    }
    MutableVector(g, n_).noalias() = Matrix(W, n_, n_).transpose() * column_;
  }

  void gradient_matrix(const Real* W, const Real* z, Real* g, Real* grad) {
    const Matrix after(z + s_.state(), n_, s_.batch), g_after(g + s_.state(), n_, s_.batch);
    if (s_.relu) {
      delta_ = (after.array() > 0).select(g_after, 0.0);
    } else {
      delta_ = g_after;
    }
    if (grad != nullptr) {
      MutableMatrix(grad, n_, n_).noalias() = delta_ * Matrix(z, n_, s_.batch).transpose();
      MutableVector(grad + s_.block(), n_) = delta_.rowwise().sum();
    }
    MutableMatrix(g, n_, s_.batch).noalias() = Matrix(W, n_, n_).transpose() * delta_;
  }

  LayerSizes s_;
  Index n_;
  Eigen::MatrixXd delta_;
  Eigen::VectorXd column_;
};

}  // namespace

std::unique_ptr<HandLoops> make_eigen_loops(const LayerSizes& sizes) {
  return std::make_unique<EigenLoops>(sizes);
}

}  // namespace deeppcr::app::bench
