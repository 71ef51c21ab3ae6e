#include "deeppcr/models/sampler_config.hpp"

#include <algorithm>
#include <cmath>

namespace deeppcr::models {

namespace {

constexpr double kPi = 3.14159265358979323846;

/// beta_t of cos^2 of an angle.
double cosine_beta(int t, int T) {
  constexpr double kOffset = 0.008, kMost = 0.999;
  const auto f = [&](double u) {
    const double c = std::cos((u + kOffset) / (1 + kOffset) * kPi / 2);
    return c * c;
  };
  return std::min(kMost, 1 - f((t + 1.0) / T) / f(static_cast<double>(t) / T));
}

double beta_of(const SamplerConfig& config, int t) {
  if (!config.trained_betas.empty()) return config.trained_betas[static_cast<std::size_t>(t)];
  const int T = config.train_steps;
  const double position = T > 1 ? static_cast<double>(t) / (T - 1) : 0;
  const auto between = [&](double first, double last) { return first + position * (last - first); };
  switch (config.beta_schedule) {
    case BetaSchedule::linear:
      return between(config.beta_start, config.beta_end);
    case BetaSchedule::scaled_linear: {
      const double root = between(std::sqrt(config.beta_start), std::sqrt(config.beta_end));
      return root * root;
    }
    case BetaSchedule::squaredcos_cap_v2:
      break;
  }
  return cosine_beta(t, T);
}

/// Shifts and scales sqrt(abar): 0 at the last time, as it was at the first.
/// Source: arXiv 2305.08891, algorithm 1
void rescale(std::vector<double>& signals) {
  const double first = std::sqrt(signals.front()), last = std::sqrt(signals.back());
  for (double& signal : signals) {
    const double root = (std::sqrt(signal) - last) * first / (first - last);
    signal = root * root;
  }
}

}  // namespace

std::vector<double> signals_of(const SamplerConfig& config) {
  std::vector<double> signals;
  double signal = 1;
  for (int t = 0; t < config.train_steps; ++t) {
    signal *= 1 - beta_of(config, t);
    signals.push_back(signal);
  }
  if (!config.rescale_betas_zero_snr || config.train_steps < 2) return signals;
  rescale(signals);
  // Its steps are in log(abar), which must be finite.
  if (config.kind == SamplerKind::dpm_solver) signals.back() = std::ldexp(1.0, -24);
  return signals;
}

}  // namespace deeppcr::models
