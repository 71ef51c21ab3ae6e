#include "deeppcr/models/noise_schedule.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/options.hpp"

namespace deeppcr::models {

namespace {

const Words<ScheduleKind> kWords{"noise schedule", {"linear", "cosine"}};

constexpr double kPi = 3.14159265358979323846;
constexpr double kMostLost = 0.999;  ///< of abar in one step

/// 1 - abar_t / abar_{t-1}
double lost(ScheduleKind kind, int t, int steps) {
  if (kind == ScheduleKind::linear) {
    const double position = steps > 1 ? static_cast<double>(t - 1) / (steps - 1) : 0;
    return std::min(kMostLost, (0.1 + (20 - 0.1) * position) / steps);
  }
  constexpr double kOffset = 0.008;
  const auto f = [&](double s) {
    const double c = std::cos((s / steps + kOffset) / (1 + kOffset) * kPi / 2);
    return c * c;
  };
  return std::min(kMostLost, 1 - f(t) / f(t - 1));
}

}  // namespace

const char* name(ScheduleKind kind) { return kWords.of(kind); }

ScheduleKind schedule_from(const std::string& name) { return kWords.find(name); }

NoiseSchedule::NoiseSchedule(ScheduleKind kind, int steps) : kind_(kind) {
  if (steps < 1)
    throw input_error("a noise schedule of {} steps is not possible: 1 or more", steps);
  signal_.push_back(1);
  for (int t = 1; t <= steps; ++t) signal_.push_back(signal_.back() * (1 - lost(kind, t, steps)));
}

SamplerStep sampler_step(const NoiseSchedule& schedule, int from, int to, double eta) {
  const double now = schedule.signal(from), next = schedule.signal(to);
  const double variance = eta * eta * (1 - next) / (1 - now) * (1 - now / next);
  SamplerStep step;
  step.time = from;
  step.state = std::sqrt(next / now);
  step.noise_estimate =
      std::sqrt(std::max(0.0, 1 - next - variance)) - step.state * std::sqrt(1 - now);
  step.fresh = std::sqrt(variance);
  return step;
}

std::vector<SamplerStep> sampler_steps(const NoiseSchedule& schedule, int count, double eta) {
  const int T = schedule.steps();
  if (count < 1 || count > T) {
    throw input_error("{} sampling steps: the denoiser was trained on {}; give 1 to {}", count, T,
                      T);
  }
  // time after k steps: T - round(k T / count)
  const auto time = [&](int k) {
    return T - static_cast<int>(std::lround(static_cast<double>(k) * T / count));
  };
  std::vector<SamplerStep> steps;
  for (int k = 0; k < count; ++k)
    steps.push_back(sampler_step(schedule, time(k), time(k + 1), eta));
  return steps;
}

}  // namespace deeppcr::models
