#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/denoising_network.hpp"
#include "deeppcr/models/sampler_config.hpp"

namespace deeppcr::test {

/// A configuration of published models with the defaults of its class.
inline models::SamplerConfig sampler_config(models::SamplerKind kind) {
  models::SamplerConfig config;
  config.kind = kind;
  if (kind != models::SamplerKind::dpm_solver) return config;
  config.spacing = models::Spacing::linspace;
  config.clip = std::numeric_limits<double>::infinity();
  return config;
}

/// Gaussians of equal weight and covariance diag(variance). Means of sample s are those given,
/// times 1 + s / 10.
struct Mixture {
  std::vector<std::vector<double>> means;  ///< [K][n]
  std::vector<double> variance;            ///< [n]
};

/// K Gaussians in n dimensions.
inline Mixture mixture(int K, int n) {
  Mixture made;
  for (int k = 0; k < K; ++k) {
    made.means.emplace_back(static_cast<std::size_t>(n));
    RandomStream(21, 1).normal(k * n, n, made.means.back().data());
  }
  for (int i = 0; i < n; ++i) made.variance.push_back(0.1 + 0.1 * i);
  return made;
}

/// The exact denoiser of a mixture: E[x0 | x] = c x + (1 - a c) sum_k r_k m_k, where r are the
/// Gaussians' shares in x, a = sqrt(abar), s = abar v + 1 - abar and c = a v / s.
class MixtureNetwork final : public models::DenoisingNetwork {
 public:
  MixtureNetwork(const models::SamplerConfig& config, Mixture mixture)
      : signals_(models::signals_of(config)),
        prediction_(config.prediction),
        mixture_(std::move(mixture)) {}

  int width() const override { return static_cast<int>(mixture_.variance.size()); }

  void evaluate(const models::DenoisingRows& rows, const Real* x, Real* out) const override {
    ++calls;
    rows_evaluated += rows.count;
    const Index n = width();
    for (Index r = 0; r < rows.count; ++r) {
      const Point at = point(rows, r, x + r * n);
      for (std::size_t i = 0; i < mixture_.variance.size(); ++i) {
        const Real value = x[r * n + static_cast<Index>(i)], c = at.slope(mixture_, i);
        const Real x0 = c * value + (1 - at.a * c) * at.mean[i];
        out[r * n + static_cast<Index>(i)] = at.of_x * value + at.of_x0 * x0;
      }
    }
  }

  void product(const models::DenoisingRows& rows, const Real* x, Direction direction, Index k,
               const Real* V, Real* W) const override {
    const Index n = width();
    for (Index r = 0; r < rows.count; ++r) {
      const Point at = point(rows, r, x + r * n);
      for (Index column = r * k; column < (r + 1) * k; ++column)
        push(at, direction, V + column * n, W + column * n);
    }
  }

  mutable Index calls = 0, rows_evaluated = 0;

 private:
  /// What the denoiser is at one row: out = of_x x + of_x0 x0.
  struct Point {
    double signal, a, of_x, of_x0, scale;
    std::vector<double> shares, mean;

    double spread(const Mixture& m, std::size_t i) const {
      return signal * m.variance[i] + 1 - signal;
    }
    double slope(const Mixture& m, std::size_t i) const { return a * m.variance[i] / spread(m, i); }
  };

  Point point(const models::DenoisingRows& rows, Index r, const Real* x) const {
    Point at;
    at.signal = signals_[static_cast<std::size_t>(rows.times[r])];
    at.a = std::sqrt(at.signal);
    at.scale = 1 + 0.1 * static_cast<double>(rows.samples[r]);
    const double sigma = std::sqrt(1 - at.signal);
    switch (prediction_) {
      case models::Prediction::epsilon:
        at.of_x = 1 / sigma;
        at.of_x0 = -at.a / sigma;
        break;
      case models::Prediction::sample:
        at.of_x = 0;
        at.of_x0 = 1;
        break;
      case models::Prediction::v_prediction:
        at.of_x = at.a / sigma;
        at.of_x0 = -1 / sigma;
        break;
    }
    for (const auto& mean : mixture_.means) {
      double exponent = 0;
      for (std::size_t i = 0; i < mean.size(); ++i) {
        const double off = x[i] - at.a * at.scale * mean[i];
        exponent -= off * off / (2 * at.spread(mixture_, i));
      }
      at.shares.push_back(exponent);
    }
    const double most = *std::max_element(at.shares.begin(), at.shares.end());
    double sum = 0;
    for (double& share : at.shares) sum += share = std::exp(share - most);
    at.mean.resize(mixture_.variance.size());
    for (std::size_t k = 0; k < at.shares.size(); ++k) {
      at.shares[k] /= sum;
      for (std::size_t i = 0; i < at.mean.size(); ++i)
        at.mean[i] += at.shares[k] * at.scale * mixture_.means[k][i];
    }
    return at;
  }

  // dM = sum_k r_k m_k (a (m_k - M) / s . dx), M = sum_k r_k m_k
  void push(const Point& at, Direction direction, const Real* v, Real* w) const {
    const bool forward = direction == Direction::forward;
    const std::size_t n = at.mean.size();
    const auto left = [&](std::size_t i) { return 1 - at.a * at.slope(mixture_, i); };
    for (std::size_t i = 0; i < n; ++i) w[i] = (at.of_x + at.of_x0 * at.slope(mixture_, i)) * v[i];
    for (std::size_t k = 0; k < at.shares.size(); ++k) {
      double dot = 0;
      const auto mean = [&](std::size_t i) { return at.scale * mixture_.means[k][i]; };
      const auto centred = [&](std::size_t i) {
        return at.a * (mean(i) - at.mean[i]) / at.spread(mixture_, i);
      };
      for (std::size_t i = 0; i < n; ++i) dot += v[i] * (forward ? centred(i) : left(i) * mean(i));
      for (std::size_t i = 0; i < n; ++i)
        w[i] += at.of_x0 * at.shares[k] * dot * (forward ? left(i) * mean(i) : centred(i));
    }
  }

  std::vector<double> signals_;
  models::Prediction prediction_;
  Mixture mixture_;
};

}  // namespace deeppcr::test
