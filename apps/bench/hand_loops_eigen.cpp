#include <Eigen/Core>
#include <algorithm>

#include "hand_loops.hpp"

namespace deeppcr::bench {
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

  void backward(const Real* theta, const Real* z, const Real* c, Real* g) override {
    std::copy_n(c + s_.steps * s_.state(), s_.state(), g + s_.steps * s_.state());
    for (Index l = s_.steps - 1; l >= 0; --l) {
      const Real* W = theta + l * s_.step_parameters();
      Real* before = g + l * s_.state();
      mask(z + (l + 1) * s_.state(), g + (l + 1) * s_.state());
      std::copy_n(c + l * s_.state(), s_.state(), before);
      if (s_.batch == 1) {
        MutableVector(before, n_).noalias() += Matrix(W, n_, n_).transpose() * column_;
      } else {
        MutableMatrix(before, n_, s_.batch).noalias() += Matrix(W, n_, n_).transpose() * delta_;
      }
    }
  }

  void gradient(const Real* theta, const Real* z, Real* g, Real* grads) override {
    for (Index l = s_.steps - 1; l >= 0; --l) {
      const Real* W = theta + l * s_.step_parameters();
      Real* before = g + l * s_.state();
      mask(z + (l + 1) * s_.state(), g + (l + 1) * s_.state());
      parameters(z + l * s_.state(), grads + l * s_.step_parameters());
      if (s_.batch == 1) {
        MutableVector(before, n_).noalias() = Matrix(W, n_, n_).transpose() * column_;
      } else {
        MutableMatrix(before, n_, s_.batch).noalias() = Matrix(W, n_, n_).transpose() * delta_;
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

  /// delta = sigma' .* g, as a vector for one sample
  void mask(const Real* after, const Real* g) {
    if (s_.batch == 1) {
      if (s_.relu) {
        column_ = (Vector(after, n_).array() > 0).select(Vector(g, n_), 0.0);
      } else {
        column_ = Vector(g, n_);
      }
      return;
    }
    if (s_.relu) {
      delta_ = (Matrix(after, n_, s_.batch).array() > 0).select(Matrix(g, n_, s_.batch), 0.0);
    } else {
      delta_ = Matrix(g, n_, s_.batch);
    }
  }

  /// dW = delta z^T, db = sum of delta
  void parameters(const Real* z, Real* grad) {
    if (s_.batch == 1) {
      MutableMatrix(grad, n_, n_).noalias() = column_ * Vector(z, n_).transpose();
      MutableVector(grad + s_.block(), n_) = column_;
    } else {
      MutableMatrix(grad, n_, n_).noalias() = delta_ * Matrix(z, n_, s_.batch).transpose();
      MutableVector(grad + s_.block(), n_) = delta_.rowwise().sum();
    }
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

}  // namespace deeppcr::bench
