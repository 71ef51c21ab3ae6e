// Configurations of published samplers, and the steps that are made of them.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/sampler_file.hpp"
#include "deeppcr/models/scheduled_steps.hpp"
#include "fuzz_target.hpp"

namespace deeppcr::fuzz {

std::vector<std::string> seeds() {
  return {R"({"_class_name": "DDIMScheduler", "num_train_timesteps": 20, "beta_start": 0.00085,
              "beta_end": 0.012, "beta_schedule": "scaled_linear", "trained_betas": null,
              "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1,
              "prediction_type": "v_prediction", "rescale_betas_zero_snr": true})",
          R"({"_class_name": "DDPMScheduler", "num_train_timesteps": 4,
              "trained_betas": [0.1, 0.2, 1e-3, 1], "clip_sample_range": 2.0,
              "variance_type": "fixed_large", "timestep_spacing": "trailing"})",
          R"({"_class_name": "DPMSolverMultistepScheduler", "num_train_timesteps": 20,
              "beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -Infinity,
              "solver_order": 2, "final_sigmas_type": "sigma_min", "note": "-Infinity"})"};
}

std::vector<std::string> words() {
  return {"-Infinity", "NaN",     "Infinity", "null",    "true", "false",     "1e999", "-1",
          "0",         "leading", "linspace", "epsilon", "\"",   "\\",        "\\\"",  "{",
          "}",         "[",       "]",        ",",       ":",    "\"sample\""};
}

}  // namespace deeppcr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace deeppcr;
  try {
    const io::SamplerFile file =
        io::read_sampler_config({reinterpret_cast<const char*>(data), size}, "s.json");
    const models::SamplerConfig& config = file.config;
    DEEPPCR_FUZZ_CHECK(config.train_steps >= 1);
    DEEPPCR_FUZZ_CHECK(config.clip > 0);
    constexpr int kMostTimes = 1000;
    if (config.train_steps > kMostTimes) return 0;
    std::int64_t before = config.train_steps;
    for (const models::ScheduledStep& step : models::scheduled_steps(config, 3)) {
      DEEPPCR_FUZZ_CHECK(step.time >= 0 && step.time < before);
      DEEPPCR_FUZZ_CHECK(std::isfinite(step.state + step.sample + step.noise + step.fresh));
      before = step.time;
    }
  } catch (const Error&) {
  }
  return 0;
}
