#include "leaky_cell.hpp"

#include <cmath>

#include "deeppcr/core/random.hpp"

namespace outside {

using namespace deeppcr;

namespace {

/// A_l = (1 - c) I + diag(s_l) W, with s_l = c (1 - tanh^2), [m, B, n].
class Jacobian final : public blocks::Linearisation {
 public:
  Jacobian(double leak, const Real* W, StepRange range, Index batch, int n)
      : leak_(leak),
        W_(W),
        first_(range.first),
        batch_(batch),
        n_(n),
        slopes_(range.size() * batch * n) {}

  Real* slope(Index i, Index b) { return slopes_.data() + (i * batch_ + b) * n_; }

  void product(Index l, Direction direction, ConstPanel V, Panel out) const override {
    const bool backward = direction == Direction::backward;
    for (Index b = 0; b < V.extent(0); ++b) {
      const Real* s = slopes_.data() + ((l - first_) * batch_ + b) * n_;
      for (Index k = 0; k < V.extent(1); ++k)
        for (int i = 0; i < n_; ++i) {
          Real sum = (1 - leak_) * V(b, k, i);
          for (int j = 0; j < n_; ++j)
            sum += (backward ? s[j] * W_[j * n_ + i] : s[i] * W_[i * n_ + j]) * V(b, k, j);
          out(b, k, i) = sum;
        }
    }
  }

 private:
  double leak_;
  const Real* W_;
  Index first_, batch_;
  int n_;
  Buffer<Real> slopes_;
};

}  // namespace

LeakyCell::LeakyCell(const Options& options, const StepSet& local)
    : options_(options), local_(local) {
  const Index n = options.width, size = n * (n + options.inputs + 1);
  theta_ = std::make_shared<Buffer<Real>>(size);
  RandomStream(options.seed, /*stream=*/0x6c65616b).normal(0, size, theta_->data());
  for (Real& value : *theta_) value *= 0.7 / std::sqrt(static_cast<double>(n));
}

std::unique_ptr<sequence::Sequence> LeakyCell::bound_to(const sequence::Inputs& inputs) const {
  auto bound = std::make_unique<LeakyCell>(*this);
  bound->inputs_ = inputs;
  return bound;
}

std::vector<sequence::ParameterGroup> LeakyCell::parameters() {
  return {{"cell",
           /*shared=*/true,
           /*rows=*/1,
           {theta_->data(), {1, theta_->size()}},
           "W, U, b, each row-major"}};
}

template <typename Visit>
void LeakyCell::each(StepRange range, ConstStates in, Visit&& visit) const {
  for (Index i = 0; i < range.size(); ++i)
    for (Index b = 0; b < in.extent(1); ++b)
      visit(i, b, in[i].data() + b * options_.width,
            inputs_.at(range.first + i) + b * options_.inputs);
}

double LeakyCell::squashed(int k, const double* z, const double* x) const {
  const int n = options_.width, d = options_.inputs;
  const Real *W = theta_->data(), *U = W + n * n, *b = U + n * d;
  Real a = b[k];
  for (int j = 0; j < n; ++j) a += W[k * n + j] * z[j];
  for (int j = 0; j < d; ++j) a += U[k * d + j] * x[j];
  return std::tanh(a);
}

void LeakyCell::value(StepRange range, ConstStates in, States out) const {
  const double c = options_.leak;
  each(range, in, [&](Index i, Index b, const Real* z, const Real* x) {
    for (int k = 0; k < options_.width; ++k) out(i, b, k) = (1 - c) * z[k] + c * squashed(k, z, x);
  });
}

std::unique_ptr<blocks::Linearisation> LeakyCell::linearise(StepRange range, ConstStates in,
                                                            States out) const {
  const double c = options_.leak;
  auto A = std::make_unique<Jacobian>(c, theta_->data(), range, in.extent(1), options_.width);
  each(range, in, [&](Index i, Index b, const Real* z, const Real* x) {
    for (int k = 0; k < options_.width; ++k) {
      const Real y = squashed(k, z, x);
      out(i, b, k) = (1 - c) * z[k] + c * y;
      A->slope(i, b)[k] = c * (1 - y * y);
    }
  });
  return A;
}

// delta = g c (1 - tanh^2);  dW += delta z^T;  dU += delta x^T;  db += delta. A shared row is added
// to: the program sums over ranges and ranks.
void LeakyCell::parameter_gradient(StepRange range, ConstStates in, ConstStates g,
                                   const sequence::GroupRows& grads) const {
  const int n = options_.width, d = options_.inputs;
  Real *dW = grads.front().data(), *dU = dW + n * n, *db = dU + n * d;
  each(range, in, [&](Index i, Index b, const Real* z, const Real* x) {
    for (int k = 0; k < n; ++k) {
      const Real y = squashed(k, z, x), delta = g(i, b, k) * options_.leak * (1 - y * y);
      for (int j = 0; j < n; ++j) dW[k * n + j] += delta * z[j];
      for (int j = 0; j < d; ++j) dU[k * d + j] += delta * x[j];
      db[k] += delta;
    }
  });
}

models::CatalogueEntry leaky_cell_entry() {
  models::CatalogueEntry entry;
  entry.name = "leaky-cell";
  entry.help = "a leaky recurrent cell: shared weights, inputs at each step";
  entry.options = {whole_option("cell-inputs", 2, 1, 1 << 20, "numbers that a step takes"),
                   real_option("leak", "0.5", 0, 1, "share of the new in each step")};
  entry.make = [](const models::ModelOptions& options, const StepSet& local) {
    const LeakyCell::Options cell{options.steps, options.width,
                                  static_cast<int>(options.own.whole("cell-inputs")),
                                  options.own.real("leak"), options.seed};
    return std::make_unique<LeakyCell>(cell, local);
  };
  return entry;
}

}  // namespace outside
