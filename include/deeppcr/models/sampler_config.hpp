#pragma once

#include <limits>
#include <vector>

namespace deeppcr::models {

/// DDPMScheduler, DDIMScheduler and DPMSolverMultistepScheduler of published models.
enum class SamplerKind { ddpm, ddim, dpm_solver };

/// How beta_t = 1 - abar_t / abar_{t-1} rises over the T times that a model was trained on.
///
///     linear             from beta_start to beta_end
///     scaled_linear      its square root does so
///     squaredcos_cap_v2  abar_t = cos^2 of an angle that grows with t
enum class BetaSchedule { linear, scaled_linear, squaredcos_cap_v2 };

/// What a network says of x = sqrt(abar) x0 + sqrt(1 - abar) eps: the noise eps, the sample x0, or
/// v = sqrt(abar) eps - sqrt(1 - abar) x0.
enum class Prediction { epsilon, sample, v_prediction };

/// Which times S steps visit: multiples of T / S from the first time on, both ends, or multiples
/// from the last time back.
enum class Spacing { leading, linspace, trailing };

/// The variance of DDPM's fresh noise: the posterior's for a sample that is known, or beta.
enum class FreshVariance { fixed_small, fixed_large };

/// The noise that DPM-Solver++ ends at: none, or that of the first time.
enum class FinalSigma { zero, sigma_min };

/// What the configuration file of a published diffusion model says of its sampler.
/// Source: the schedulers of diffusers (Hugging Face), whose names and defaults these are
struct SamplerConfig {
  SamplerKind kind = SamplerKind::ddim;
  int train_steps = 1000;  ///< T; times are 0..T-1
  double beta_start = 1e-4, beta_end = 0.02;
  BetaSchedule beta_schedule = BetaSchedule::linear;
  std::vector<double> trained_betas = {};  ///< [T] in their place; empty: none
  bool rescale_betas_zero_snr = false;     ///< nothing is left of x0 at the last time
  Prediction prediction = Prediction::epsilon;
  double clip = 1;  ///< x0 is kept within so much of 0; infinite: it is not
  Spacing spacing = Spacing::leading;
  int steps_offset = 0;
  bool set_alpha_to_one = true;  ///< DDIM: abar behind the last step is 1, else that of time 0
  FreshVariance variance = FreshVariance::fixed_small;  ///< DDPM
  // DPM-Solver++:
  int solver_order = 2;
  bool lower_order_final = true;  ///< fewer than 15 steps end with one of order 1
  bool euler_at_final = false;    ///< any number of them does
  FinalSigma final_sigma = FinalSigma::zero;
  /// Sampling starts at the last time with log(sqrt(abar) / sqrt(1 - abar)) of at least that.
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();
};

/// abar_t, t = 0..T-1.
std::vector<double> signals_of(const SamplerConfig& config);

}  // namespace deeppcr::models
