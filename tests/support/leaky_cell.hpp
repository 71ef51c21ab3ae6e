#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "deeppcr/core/random.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::test {

/// A leaky recurrent cell, whose weights all steps share and which has an input at each step:
///
///     z_{l+1} = (1 - c) z_l + c tanh(W z_l + U x_l + b), or z_l where a sample has ended
///
/// W [n, n], U [n, d] and b [n], row-major, are one row of parameters.
class LeakyCell final : public sequence::Sequence {
 public:
  static constexpr double kLeak = 0.4;

  LeakyCell(Index num_steps, int width, int inputs)
      : num_steps_(num_steps),
        n_(width),
        d_(inputs),
        theta_(std::make_shared<Buffer<Real>>(size())) {
    RandomStream(5, 1).normal(0, size(), theta_->data());
    for (Real& value : *theta_) value *= 0.8 / std::sqrt(static_cast<double>(n_));
  }

  Index num_steps() const override { return num_steps_; }
  int width() const override { return n_; }
  int input_width() const override { return d_; }
  sequence::Inputs inputs() const override { return inputs_; }
  std::unique_ptr<Sequence> bound_to(const sequence::Inputs& inputs) const override {
    auto bound = std::make_unique<LeakyCell>(*this);
    bound->inputs_ = inputs;
    return bound;
  }
  std::vector<sequence::ParameterGroup> parameters() override {
    return {{"cell", true, 1, {theta_->data(), {1, size()}}, "W, U, b, each row-major"}};
  }

  void value(StepRange range, ConstStates in, States out) const override {
    each(range, in, [&](Index i, Index b, const Real* z, const Real* x) {
      const bool ended = !inputs_.has(range.first + i, b);
      for (int k = 0; k < n_; ++k)
        out(i, b, k) = ended ? z[k] : (1 - kLeak) * z[k] + kLeak * squashed(k, z, x);
    });
  }

  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override {
    auto J = std::make_unique<Jacobian>(theta_->data(), range, in.extent(1), n_);
    each(range, in, [&](Index i, Index b, const Real* z, const Real* x) {
      const Index l = range.first + i;
      const bool ended = !inputs_.has(l, b);
      for (int k = 0; k < n_; ++k) {
        const Real y = squashed(k, z, x);
        out(i, b, k) = ended ? z[k] : (1 - kLeak) * z[k] + kLeak * y;
        J->slope(l, b)[k] = ended ? 0 : kLeak * (1 - y * y);
      }
      *J->kept(l, b) = ended ? 1 : 1 - kLeak;
    });
    return J;
  }

  void parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                          const sequence::GroupRows& grads) const override {
    Real *dW = grads.front().data(), *dU = dW + n_ * n_, *db = dU + n_ * d_;
    each(range, in, [&](Index i, Index b, const Real* z, const Real* x) {
      for (int k = 0; k < n_ && inputs_.has(range.first + i, b); ++k) {
        const Real y = squashed(k, z, x), delta = g(i, b, k) * kLeak * (1 - y * y);
        for (int j = 0; j < n_; ++j) dW[k * n_ + j] += delta * z[j];
        for (int j = 0; j < d_; ++j) dU[k * d_ + j] += delta * x[j];
        db[k] += delta;
      }
    });
  }

 private:
  /// A_l = k_l I + diag(s_l) W, where k_l = 1 - c, or 1 with s_l = 0 behind a sample's end.
  class Jacobian final : public blocks::Linearisation {
   public:
    Jacobian(const Real* W, StepRange range, Index batch, int n)
        : W_(W),
          range_(range),
          batch_(batch),
          n_(n),
          slopes_(range.size() * batch * n),
          kept_(range.size() * batch) {}
    Real* slope(Index l, Index b) { return slopes_.data() + at(l, b); }
    Real* kept(Index l, Index b) { return kept_.data() + at(l, b) / n_; }

    void product(Index l, Direction direction, ConstPanel V, Panel out) const override {
      if (direction == Direction::forward) {
        for_all(l, V, out, [this](const Real* s, int i, int j) { return s[i] * W_[i * n_ + j]; });
      } else {
        for_all(l, V, out, [this](const Real* s, int i, int j) { return s[j] * W_[j * n_ + i]; });
      }
    }

   private:
    Index at(Index l, Index b) const { return ((l - range_.first) * batch_ + b) * n_; }
    template <typename Entry>
    void for_all(Index l, ConstPanel V, Panel out, Entry&& entry) const {
      for (Index b = 0; b < V.extent(0); ++b)
        for (Index k = 0; k < V.extent(1); ++k)
          for (int i = 0; i < n_; ++i) {
            Real sum = kept_[at(l, b) / n_] * V(b, k, i);
            for (int j = 0; j < n_; ++j) sum += entry(slopes_.data() + at(l, b), i, j) * V(b, k, j);
            out(b, k, i) = sum;
          }
    }

    const Real* W_;
    StepRange range_;
    Index batch_;
    int n_;
    Buffer<Real> slopes_, kept_;
  };

  Index size() const { return Index{n_} * n_ + Index{n_} * d_ + n_; }
  Real squashed(int k, const Real* z, const Real* x) const {
    const Real *W = theta_->data(), *U = W + n_ * n_, *b = U + n_ * d_;
    Real a = b[k];
    for (int j = 0; j < n_; ++j) a += W[k * n_ + j] * z[j];
    for (int j = 0; j < d_; ++j) a += U[k * d_ + j] * x[j];
    return std::tanh(a);
  }
  template <typename Visit>
  void each(StepRange range, ConstStates in, Visit&& visit) const {
    for (Index i = 0; i < range.size(); ++i)
      for (Index b = 0; b < in.extent(1); ++b)
        visit(i, b, in[i].data() + b * n_, inputs_.at(range.first + i) + b * d_);
  }

  Index num_steps_;
  int n_, d_;
  std::shared_ptr<Buffer<Real>> theta_;  ///< of all views of the cell
  sequence::Inputs inputs_;
};

/// Normal inputs for some steps of a chain, by global step and sample.
class RandomInputs {
 public:
  RandomInputs(StepRange steps, Index batch, int d)
      : steps_(steps), shape_{steps.size(), batch, d}, values_(steps.size() * batch * d) {
    RandomStream(6, 1).normal(steps.first * batch * d, values_.size(), values_.data());
  }
  sequence::Inputs view() const { return {steps_, {values_.data(), shape_}}; }

 private:
  StepRange steps_;
  std::array<Index, 3> shape_;
  Buffer<Real> values_;
};

}  // namespace deeppcr::test
