#pragma once

#include <string>
#include <vector>

namespace deeppcr::models {

/// How fast the forward process x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps forgets x_0.
///
///     linear   1 - abar_t / abar_{t-1} rises linearly from 0.1 / T to 20 / T (Ho et al., arXiv
///     2006.11239) cosine   abar_t = cos^2 of an angle that grows with t (Nichol and Dhariwal,
///     arXiv 2102.09672)
enum class ScheduleKind { linear, cosine };
const char* name(ScheduleKind kind);
/// @throws Error that lists the known names
ScheduleKind schedule_from(const std::string& name);

/// abar_0 = 1 > abar_1 > .. > abar_T > 0.
class NoiseSchedule {
 public:
  /// @throws Error for less than one step
  NoiseSchedule(ScheduleKind kind, int steps);

  ScheduleKind kind() const { return kind_; }
  int steps() const { return static_cast<int>(signal_.size()) - 1; }
  /// abar_t, t = 0..steps().
  double signal(int t) const { return signal_[static_cast<std::size_t>(t)]; }
  /// 1 - abar_t, the variance of the noise.
  double noise(int t) const { return 1 - signal(t); }

 private:
  ScheduleKind kind_;
  std::vector<double> signal_;
};

/// One sampling step from noise level t to t' < t: z' = state z + noise_estimate eps(z, t) + fresh
/// xi.
///
/// eta = 0 is DDIM, eta = 1 is DDPM with the posterior's variance; t - t' may be any stride.
/// Source: Song et al., DDIM, arXiv 2010.02502, eq. 12 and 16
struct SamplerStep {
  int time = 0;
  double state = 1;
  double noise_estimate = 0;
  double fresh = 0;
};
SamplerStep sampler_step(const NoiseSchedule& schedule, int from, int to, double eta);

/// The steps of a sampler with `count` steps, equally spaced over the schedule, from pure noise on.
/// @throws Error for count outside of 1..schedule.steps()
std::vector<SamplerStep> sampler_steps(const NoiseSchedule& schedule, int count, double eta);

}  // namespace deeppcr::models
