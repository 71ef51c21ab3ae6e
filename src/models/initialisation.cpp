#include "models/initialisation.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/options.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

namespace {

const Words<Initialisation> kWords{"initialisation",
                                   {"default", "xavier", "he", "orthogonal", "zero"}};

/// Streams of the weights and biases of layer 0 of all steps; layer j of a step has the j-th pair
/// behind.
constexpr std::uint64_t kFirstStream = 0x5745494748540000;

RandomStream weight_stream(const LayerKey& key) {
  return {key.seed, kFirstStream + 2 * static_cast<std::uint64_t>(key.layer)};
}
RandomStream bias_stream(const LayerKey& key) {
  return {key.seed, kFirstStream + 2 * static_cast<std::uint64_t>(key.layer) + 1};
}

/// x <- bound (2 x - 1): uniform on [0, 1) to uniform on [-bound, bound).
void stretch(double bound, Index count, Real* x) {
  for (Index i = 0; i < count; ++i) x[i] = bound * (2 * x[i] - 1);
}

void scale(double factor, Index count, Real* x) {
  for (Index i = 0; i < count; ++i) x[i] *= factor;
}

/// Partial sums of their own, because a compiler may not reorder one.
Real dot(int n, const Real* x, const Real* y) {
  constexpr int kSums = 8;
  Real sums[kSums] = {};
  int i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int k = 0; k < kSums; ++k) sums[k] += x[i + k] * y[i + k];
  }
  Real total = 0;
  for (; i < n; ++i) total += x[i] * y[i];
  for (const Real sum : sums) total += sum;
  return total;
}

/// Makes the columns of Q, column-major [n x n], orthonormal in place: the Q of Q R with R's
/// diagonal positive. Gram-Schmidt, each column twice. Cost: 4 n^3 flops. @pre full rank
void orthonormalise(int n, Real* Q) {
  for (int j = 0; j < n; ++j) {
    Real* q = Q + Index{j} * n;
    // Twice is enough: Giraud, Langou and Rozloznik, Computers & Mathematics with Applications 50,
    // 2005
    for (int pass = 0; pass < 2; ++pass) {
      for (int k = 0; k < j; ++k) {
        const Real* earlier = Q + Index{k} * n;
        const Real overlap = dot(n, earlier, q);
        for (int i = 0; i < n; ++i) q[i] -= overlap * earlier[i];
      }
      scale(1 / std::sqrt(dot(n, q, q)), n, q);
    }
  }
}

}  // namespace

void initialise_weights(Initialisation kind, double gain, const LayerKey& key, int n, Real* W) {
  const RandomStream random = weight_stream(key);
  const Index count = Index{n} * n, first = key.step * count;
  switch (kind) {
    case Initialisation::fan_in:
      random.uniform(first, count, W);
      stretch(gain / std::sqrt(n), count, W);
      break;
    case Initialisation::xavier:
      random.uniform(first, count, W);
      stretch(gain * std::sqrt(3.0 / n), count, W);
      break;
    case Initialisation::he:
      random.normal(first, count, W);
      scale(gain * std::sqrt(2.0 / n), count, W);
      break;
    case Initialisation::orthogonal:
      random.normal(first, count, W);
      orthonormalise(n, W);
      scale(gain, count, W);
      break;
    case Initialisation::zero:
      std::fill_n(W, count, Real{0});
      break;
  }
}

void initialise_bias(Initialisation kind, const LayerKey& key, int n, Real* b) {
  if (kind == Initialisation::zero) {
    std::fill_n(b, n, Real{0});
    return;
  }
  bias_stream(key).uniform(key.step * n, n, b);
  stretch(1 / std::sqrt(n), n, b);
}

Initialisation initialisation_from(const std::string& name) { return kWords.find(name); }

}  // namespace deeppcr::models
