#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "deeppcr/models/sampler_config.hpp"

namespace deeppcr::models {

/// One step of a published sampler from x at a time, where the network says o:
///
///     x0  = clamp(x0_state x + x0_output o, -clip, clip)
///     eps = eps_state x + eps_output o
///     x'  = state x + sample x0 + noise eps + previous x0_before + fresh xi
///
/// x0_before is the x0 of the step before, xi standard normal noise.
struct ScheduledStep {
  std::int64_t time = 0;
  double signal = 1;  ///< abar at that time
  double x0_state = 0, x0_output = 1;
  double clip = std::numeric_limits<double>::infinity();
  double eps_state = 0, eps_output = 0;
  double state = 0, sample = 1, noise = 0, previous = 0, fresh = 0;
};

/// Whether a step uses the x0 of the one before it: states are then (x, x0_before).
bool use_previous(const std::vector<ScheduledStep>& steps);

/// The times of `count` steps, falling. @throws Error for a count that does not fit the spacing
std::vector<int> sampler_times(const SamplerConfig& config, int count);

/// The steps themselves.
/// @param eta DDIM's share of fresh noise, 0..1; 0 for the others
/// @throws Error for a count that does not fit, another eta, or a prediction that says nothing of
/// x0 at a time that is visited
/// Source: DDPM, arXiv 2006.11239; DDIM, arXiv 2010.02502; DPM-Solver++, arXiv 2211.01095
std::vector<ScheduledStep> scheduled_steps(const SamplerConfig& config, int count, double eta = 0);

}  // namespace deeppcr::models
