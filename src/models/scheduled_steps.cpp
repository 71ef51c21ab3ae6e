#include "deeppcr/models/scheduled_steps.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

namespace {

bool is_solver(const SamplerConfig& config) { return config.kind == SamplerKind::dpm_solver; }

/// Half of the log of signal over noise.
double lambda_of(double signal) { return 0.5 * std::log(signal / (1 - signal)); }

/// Times 0..last-1 are visited.
int last_time(const SamplerConfig& config) {
  if (!is_solver(config) || std::isinf(config.lambda_min_clipped)) return config.train_steps;
  const std::vector<double> signals = signals_of(config);
  return static_cast<int>(std::count_if(signals.begin(), signals.end(), [&](double signal) {
    return lambda_of(signal) >= config.lambda_min_clipped;
  }));
}

/// Time k of so many, falling. DPM-Solver++ counts the end of its last step too.
double time_of(const SamplerConfig& config, int k, int count) {
  const int T = config.train_steps, last = last_time(config);
  const int points = count + (is_solver(config) ? 1 : 0);
  if (config.spacing == Spacing::trailing)
    return std::nearbyint(last - k * (static_cast<double>(T) / count)) - 1;
  const int back = points - 1 - k;
  if (config.spacing == Spacing::leading) return last / points * back + config.steps_offset;
  return points == 1 ? 0 : std::nearbyint(back * (static_cast<double>(last - 1) / (points - 1)));
}

const char* name(Spacing spacing) {
  constexpr const char* kNames[] = {"leading", "linspace", "trailing"};
  return kNames[static_cast<std::size_t>(spacing)];
}

/// x0 and eps by what is predicted.
void set_prediction(const SamplerConfig& config, ScheduledStep& step) {
  const double alpha = std::sqrt(step.signal), sigma = std::sqrt(1 - step.signal);
  switch (config.prediction) {
    case Prediction::epsilon:
      step.x0_state = 1 / alpha;
      step.x0_output = -sigma / alpha;
      step.eps_output = 1;
      break;
    case Prediction::sample:
      step.x0_output = 1;
      step.eps_state = 1 / sigma;
      step.eps_output = -alpha / sigma;
      break;
    case Prediction::v_prediction:
      step.x0_state = alpha;
      step.x0_output = -sigma;
      step.eps_state = sigma;
      step.eps_output = alpha;
      break;
  }
}

// x' = sqrt(abar_p) x0 + sqrt(1 - abar_p - s^2) eps + s xi
void set_ddim(double next, double eta, ScheduledStep& step) {
  const double now = step.signal;
  const double variance = eta * eta * (1 - next) / (1 - now) * (1 - now / next);
  step.sample = std::sqrt(next);
  step.noise = std::sqrt(std::max(0.0, 1 - next - variance));
  step.fresh = std::sqrt(std::max(0.0, variance));
}

// x' = sqrt(abar_p) b / (1 - abar) x0 + sqrt(a) (1 - abar_p) / (1 - abar) x + noise, b = 1 - a
void set_ddpm(const SamplerConfig& config, double next, ScheduledStep& step) {
  const double a = step.signal / next, b = 1 - a, noise = 1 - step.signal;
  step.sample = std::sqrt(next) * b / noise;
  step.state = std::sqrt(a) * (1 - next) / noise;
  if (step.time == 0) return;
  const bool small = config.variance == FreshVariance::fixed_small;
  step.fresh = std::sqrt(small ? b * (1 - next) / noise : b);
}

// h = lambda' - lambda, D1 = (x0 - x0_before) h / h_before:
// x' = sigma' / sigma x - alpha' (e^-h - 1) (x0 + D1 / 2)
void set_solver(double next, double h_before, ScheduledStep& step) {
  const double h = lambda_of(next) - lambda_of(step.signal);
  const double weight = -std::sqrt(next) * std::expm1(-h);
  const double slope = h_before > 0 ? 0.5 * weight * h / h_before : 0;
  step.state = std::sqrt((1 - next) / (1 - step.signal));
  step.sample = weight + slope;
  step.previous = -slope;
}

/// Whether step k of so many uses the x0 of the step before.
bool is_second_order(const SamplerConfig& config, int k, int count) {
  constexpr int kFew = 15;
  const bool first_at_end = config.euler_at_final || config.final_sigma == FinalSigma::zero ||
                            (config.lower_order_final && count < kFew);
  return config.solver_order == 2 && k > 0 && !(first_at_end && k == count - 1);
}

/// abar behind step k.
double signal_behind(const SamplerConfig& config, const std::vector<double>& signals,
                     const std::vector<int>& times, std::size_t k) {
  const bool last = k + 1 == times.size();
  if (config.kind == SamplerKind::ddim) {
    const int to = times[k] - config.train_steps / static_cast<int>(times.size());
    if (to < 0) return config.set_alpha_to_one ? 1 : signals.front();
    return signals[static_cast<std::size_t>(to)];
  }
  if (!last) return signals[static_cast<std::size_t>(times[k + 1])];
  return is_solver(config) && config.final_sigma == FinalSigma::sigma_min ? signals.front() : 1;
}

void check(const ScheduledStep& step) {
  for (const double value : {step.x0_state, step.x0_output, step.eps_state, step.eps_output,
                             step.state, step.sample, step.noise, step.previous, step.fresh}) {
    if (std::isfinite(value)) continue;
    throw input_error(
        "the noise schedule leaves {:g} of a sample's variance at time {}, where this prediction "
        "says nothing of it; use prediction_type v_prediction or sample, or smaller betas",
        step.signal, step.time);
  }
}

}  // namespace

bool use_previous(const std::vector<ScheduledStep>& steps) {
  return std::any_of(steps.begin(), steps.end(),
                     [](const ScheduledStep& step) { return step.previous != 0; });
}

std::vector<int> sampler_times(const SamplerConfig& config, int count) {
  const int T = config.train_steps;
  if (count < 1 || count > T)
    throw input_error("{} sampling steps: the model was trained on {} times; give 1 to {}", count,
                      T, T);
  std::vector<int> times;
  for (int k = 0; k < count; ++k) {
    const int time = static_cast<int>(time_of(config, k, count));
    const bool fits = time >= 0 && time < T && (times.empty() || time < times.back());
    if (!fits) {
      throw input_error(
          "{} sampling steps with timestep_spacing {} and steps_offset {}: step {} would be at "
          "time "
          "{}, and times must fall from {} to 0; give fewer steps",
          count, name(config.spacing), config.steps_offset, k + 1, time, T - 1);
    }
    times.push_back(time);
  }
  return times;
}

std::vector<ScheduledStep> scheduled_steps(const SamplerConfig& config, int count, double eta) {
  if (!(eta >= 0 && eta <= 1) || (config.kind != SamplerKind::ddim && eta != 0)) {
    throw input_error(
        "eta {}: DDIMScheduler takes one from 0 to 1, and the others none; leave it out", eta);
  }
  const std::vector<int> times = sampler_times(config, count);
  const std::vector<double> signals = signals_of(config);
  std::vector<ScheduledStep> steps;
  double lambda_before = 0;
  for (int k = 0; k < count; ++k) {
    const auto at = static_cast<std::size_t>(k);
    ScheduledStep step;
    step.time = times[at];
    step.signal = signals[static_cast<std::size_t>(times[at])];
    step.clip = config.clip;
    set_prediction(config, step);
    const double next = signal_behind(config, signals, times, at);
    if (config.kind == SamplerKind::ddim) set_ddim(next, eta, step);
    if (config.kind == SamplerKind::ddpm) set_ddpm(config, next, step);
    const double lambda = lambda_of(step.signal);
    if (is_solver(config))
      set_solver(next, is_second_order(config, k, count) ? lambda - lambda_before : 0, step);
    lambda_before = lambda;
    // What a step does not use need not be finite.
    if (step.noise == 0) step.eps_state = step.eps_output = 0;
    check(step);
    steps.push_back(step);
  }
  return steps;
}

}  // namespace deeppcr::models
