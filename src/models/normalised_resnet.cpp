#include "models/normalised_resnet.hpp"

#include <cmath>
#include <utility>

namespace deeppcr::models {

namespace {

/// Keeps the variance away from zero; PyTorch's value.
constexpr Real kEpsilon = 1e-5;

StepShape without_skip(const StepShape& shape) {
  return {shape.width, shape.layers, shape.activation, shape.bias, false, 1};
}

/// x = N(z), each row of n numbers. Returns 1 / deviation.
Real normalise(Index n, const Real* z, Real* x) {
  Real mean = 0, square = 0;
  for (Index i = 0; i < n; ++i) mean += z[i];
  mean /= static_cast<Real>(n);
  for (Index i = 0; i < n; ++i) square += (z[i] - mean) * (z[i] - mean);
  const Real inverse = 1 / std::sqrt(square / static_cast<Real>(n) + kEpsilon);
  for (Index i = 0; i < n; ++i) x[i] = inverse * (z[i] - mean);
  return inverse;
}

/// y = N'(z) v = inverse (v - mean(v) - x mean(x v)); symmetric, so also the transpose. y may be v.
void push(Index n, const Real* x, Real inverse, const Real* v, Real* y) {
  Real mean = 0, along = 0;
  for (Index i = 0; i < n; ++i) {
    mean += v[i];
    along += x[i] * v[i];
  }
  mean /= static_cast<Real>(n);
  along /= static_cast<Real>(n);
  for (Index i = 0; i < n; ++i) y[i] = inverse * (v[i] - mean - along * x[i]);
}

/// All rows of states [.., n].
void normalise_all(ConstStates z, Real* x, Real* inverse) {
  const Index n = z.extent(2), rows = z.extent(0) * z.extent(1);
  for (Index r = 0; r < rows; ++r) {
    const Real one = normalise(n, z.data() + r * n, x + r * n);
    if (inverse != nullptr) inverse[r] = one;
  }
}

void add_scaled(Index count, const Real* z, Real h, const Real* y, Real* out) {
  for (Index i = 0; i < count; ++i) out[i] = z[i] + h * y[i];
}

/// A_l V = V + h G_l N' V.
class NormalisedLinearisation final : public blocks::Linearisation {
 public:
  NormalisedLinearisation(const LayeredChain& block, Real scale, StepRange range, ConstStates in,
                          States out)
      : scale_(scale),
        range_(range),
        batch_(in.extent(1)),
        n_(in.extent(2)),
        x_(in.size()),
        inverse_(in.extent(0) * in.extent(1)) {
    normalise_all(in, x_.data(), inverse_.data());
    block_ = block.linearise(range, {x_.data(), in.shape()}, out);
    add_scaled(in.size(), in.data(), scale_, out.data(), out.data());
  }

  void product(Index l, Direction direction, ConstPanel V, Panel W) const override {
    scratch_.reserve(V.size());
    const Panel between(scratch_.data(), V.shape());
    if (direction == Direction::forward) {
      push_all(l, V, between);
      block_->product(l, direction, between, W);
      add_scaled(V.size(), V.data(), scale_, W.data(), W.data());
    } else {
      block_->product(l, direction, V, between);
      push_all(l, between, between);
      add_scaled(V.size(), V.data(), scale_, between.data(), W.data());
    }
  }

 private:
  void push_all(Index l, ConstPanel V, Panel W) const {
    const Index columns = V.extent(1);
    for (Index b = 0; b < batch_; ++b) {
      const Index row = (l - range_.first) * batch_ + b;
      for (Index k = 0; k < columns; ++k) {
        const Index at = (b * columns + k) * n_;
        push(n_, x_.data() + row * n_, inverse_[row], V.data() + at, W.data() + at);
      }
    }
  }

  Real scale_;
  StepRange range_;
  Index batch_, n_;
  Buffer<Real> x_;        ///< N(z), [m, B, n]
  Buffer<Real> inverse_;  ///< 1 / deviation, [m, B]
  std::unique_ptr<blocks::Linearisation> block_;
  mutable Buffer<Real> scratch_;
};

}  // namespace

NormalisedResNet::NormalisedResNet(const StepShape& shape, Index num_steps, const StepSet& local,
                                   const FirstWeights& first)
    : block_(without_skip(shape), num_steps, local, first), scale_(shape.scale) {}

void NormalisedResNet::value(StepRange range, ConstStates in, States out) const {
  normal_.reserve(in.size());
  normalise_all(in, normal_.data(), nullptr);
  block_.value(range, {normal_.data(), in.shape()}, out);
  add_scaled(in.size(), in.data(), scale_, out.data(), out.data());
}

std::unique_ptr<blocks::Linearisation> NormalisedResNet::linearise(StepRange range, ConstStates in,
                                                                   States out) const {
  return std::make_unique<NormalisedLinearisation>(block_, scale_, range, in, out);
}

void NormalisedResNet::parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                                          const sequence::GroupRows& grads) const {
  normal_.reserve(in.size());
  gradient_.reserve(in.size());
  normalise_all(in, normal_.data(), nullptr);
  for (Index i = 0; i < g.size(); ++i) gradient_[i] = scale_ * g.data()[i];
  block_.parameter_gradient(range, {normal_.data(), in.shape()}, {gradient_.data(), in.shape()},
                            grads);
}

}  // namespace deeppcr::models
