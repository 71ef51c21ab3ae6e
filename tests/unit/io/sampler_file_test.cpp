#include "deeppcr/io/sampler_file.hpp"

#include <cmath>

#include "io_support.hpp"

namespace deeppcr::test {
namespace {

using io::read_sampler_config;
using io::SamplerFile;
using namespace models;

constexpr const char* kDdpm = "DDPMScheduler";
constexpr const char* kDdim = "DDIMScheduler";
constexpr const char* kSolver = "DPMSolverMultistepScheduler";

std::string text(const char* kind, const std::string& fields = "") {
  return fmt::format(R"({{"_class_name": "{}", "_diffusers_version": "0.21.4"{}{}}})", kind,
                     fields.empty() ? "" : ", ", fields);
}

SamplerFile read(const char* kind, const std::string& fields = "") {
  return read_sampler_config(text(kind, fields), "s.json");
}

/// The sentence about a text that is refused.
std::string complaint(const std::string& json) {
  try {
    read_sampler_config(json, "s.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    return error.what();
  }
  return "none";
}

TEST(SamplerFile, HasTheDefaultsOfItsClass) {
  const SamplerConfig ddpm = read(kDdpm).config, ddim = read(kDdim).config,
                      solver = read(kSolver).config;
  EXPECT_EQ(ddpm.kind, SamplerKind::ddpm);
  EXPECT_EQ(ddim.kind, SamplerKind::ddim);
  EXPECT_EQ(solver.kind, SamplerKind::dpm_solver);
  for (const SamplerConfig& config : {ddpm, ddim, solver}) {
    EXPECT_EQ(config.train_steps, 1000);
    EXPECT_EQ(config.beta_start, 1e-4);
    EXPECT_EQ(config.beta_end, 0.02);
    EXPECT_EQ(config.beta_schedule, BetaSchedule::linear);
    EXPECT_EQ(config.prediction, Prediction::epsilon);
    EXPECT_EQ(config.steps_offset, 0);
    EXPECT_FALSE(config.rescale_betas_zero_snr);
    EXPECT_TRUE(config.trained_betas.empty());
    const bool is_solver = config.kind == SamplerKind::dpm_solver;
    EXPECT_EQ(config.spacing, is_solver ? Spacing::linspace : Spacing::leading);
    EXPECT_EQ(config.clip, is_solver ? INFINITY : 1);
  }
  EXPECT_EQ(ddpm.variance, FreshVariance::fixed_small);
  EXPECT_TRUE(ddim.set_alpha_to_one);
  EXPECT_EQ(solver.solver_order, 2);
  EXPECT_TRUE(solver.lower_order_final);
  EXPECT_FALSE(solver.euler_at_final);
  EXPECT_EQ(solver.final_sigma, FinalSigma::zero);
  EXPECT_EQ(solver.lambda_min_clipped, -INFINITY);
}

TEST(SamplerFile, TakesEachField) {
  const SamplerConfig ddim =
      read(kDdim, R"("num_train_timesteps": 3, "beta_start": 0.00085, "beta_end": 0.012,
                     "beta_schedule": "scaled_linear", "trained_betas": [0.1, 0.2, 1],
                     "rescale_betas_zero_snr": true, "prediction_type": "v_prediction",
                     "clip_sample": true, "clip_sample_range": 2.5, "timestep_spacing": "trailing",
                     "steps_offset": 1, "set_alpha_to_one": false, "thresholding": false,
                     "dynamic_thresholding_ratio": 0.9, "sample_max_value": 3)")
          .config;
  EXPECT_EQ(ddim.train_steps, 3);
  EXPECT_EQ(ddim.beta_start, 0.00085);
  EXPECT_EQ(ddim.beta_end, 0.012);
  EXPECT_EQ(ddim.beta_schedule, BetaSchedule::scaled_linear);
  EXPECT_EQ(ddim.trained_betas, (std::vector<double>{0.1, 0.2, 1}));
  EXPECT_TRUE(ddim.rescale_betas_zero_snr);
  EXPECT_EQ(ddim.prediction, Prediction::v_prediction);
  EXPECT_EQ(ddim.clip, 2.5);
  EXPECT_EQ(ddim.spacing, Spacing::trailing);
  EXPECT_EQ(ddim.steps_offset, 1);
  EXPECT_FALSE(ddim.set_alpha_to_one);
  EXPECT_EQ(read(kDdim, R"("clip_sample": false, "clip_sample_range": 2.5)").config.clip, INFINITY);
  const auto variance = [](const std::string& word) {
    return read(kDdpm, R"("prediction_type": "sample", "variance_type": ")" + word + '"')
        .config.variance;
  };
  EXPECT_EQ(variance("fixed_large"), FreshVariance::fixed_large);
  EXPECT_EQ(variance("fixed_small_log"), FreshVariance::fixed_small);
  const SamplerConfig solver = read(kSolver, R"("algorithm_type": "dpmsolver++", "solver_order": 1,
                       "solver_type": "midpoint", "lower_order_final": false,
                       "euler_at_final": true, "final_sigmas_type": "sigma_min",
                       "lambda_min_clipped": -5.1, "variance_type": null, "flow_shift": 1.0,
                       "use_karras_sigmas": false, "beta_schedule": "squaredcos_cap_v2")")
                                   .config;
  EXPECT_EQ(solver.solver_order, 1);
  EXPECT_FALSE(solver.lower_order_final);
  EXPECT_TRUE(solver.euler_at_final);
  EXPECT_EQ(solver.final_sigma, FinalSigma::sigma_min);
  EXPECT_EQ(solver.lambda_min_clipped, -5.1);
  EXPECT_EQ(solver.beta_schedule, BetaSchedule::squaredcos_cap_v2);
}

TEST(SamplerFile, TakesWhatPythonWritesInPlaceOfAnInfinity) {
  EXPECT_EQ(read(kSolver, R"("lambda_min_clipped": -Infinity)").config.lambda_min_clipped,
            -INFINITY);
  EXPECT_EQ(read(kSolver, R"("note": "a \" -Infinity")").ignored, std::vector<std::string>{"note"});
}

TEST(SamplerFile, NamesTheFieldsThatItsClassDoesNotHave) {
  const SamplerFile file = read(kDdpm, R"("skip_prk_steps": true, "set_alpha_to_one": false)");
  EXPECT_EQ(file.ignored, (std::vector<std::string>{"set_alpha_to_one", "skip_prk_steps"}));
  EXPECT_TRUE(file.config.set_alpha_to_one);
  EXPECT_TRUE(read(kDdim, R"("trained_betas": null)").ignored.empty());
  EXPECT_EQ(read(kDdim, R"("a\nb": 1)").ignored, std::vector<std::string>{"a\\nb"});
}

TEST(SamplerFile, RefusesInOneSentence) {
  const struct {
    const char* kind;
    const char* fields;
    const char* message;
  } kWrong[] = {
      {"PNDMScheduler", "",
       "_class_name is \"PNDMScheduler\"; allowed: DDPMScheduler, DDIMScheduler, "
       "DPMSolverMultistepScheduler"},
      {kDdim, R"("num_train_timesteps": 0)",
       "num_train_timesteps is 0; allowed: a whole number from 1 to 1000000"},
      {kDdim, R"("num_train_timesteps": 10.5)", "num_train_timesteps is 10.5; allowed: a whole"},
      {kDdim, R"("num_train_timesteps": 99999999999999999999)", "num_train_timesteps is 1e+20"},
      {kDdim, R"("beta_start": "small")",
       "beta_start is \"small\"; allowed: a number above 0, up to 1"},
      {kDdim, R"("beta_start": NaN)", "beta_start is \"NaN\"; allowed: a number"},
      {kDdim, R"("beta_end": 1.5)", "beta_end is 1.5; allowed: a number above 0, up to 1"},
      {kDdim, R"("beta_start": 0)", "beta_start is 0; allowed: a number above 0, up to 1"},
      {kDdim, R"("beta_schedule": "sigmoid")",
       "beta_schedule is \"sigmoid\"; allowed: linear, scaled_linear, squaredcos_cap_v2"},
      {kDdim, R"("trained_betas": [0.1])",
       "trained_betas is an array of 1; allowed: a list of num_train_timesteps numbers, 1000"},
      {kDdim, R"("num_train_timesteps": 2, "trained_betas": [0.1, -1])",
       "one of trained_betas is -1; allowed: a number above 0, up to 1"},
      {kDdim, R"("prediction_type": "flow_prediction")",
       "prediction_type is \"flow_prediction\"; allowed: epsilon, sample, v_prediction"},
      {kDdim, R"("clip_sample": 1)", "clip_sample is 1; allowed: true or false"},
      {kDdim, R"("clip_sample_range": -1)", "clip_sample_range is -1; allowed: a number above 0"},
      {kDdim, R"("timestep_spacing": {"a": 1})",
       "timestep_spacing is an object of 1; allowed: leading, linspace, trailing"},
      {kDdim, R"("steps_offset": 1000)",
       "steps_offset is 1000; allowed: a whole number from 0 to 999"},
      {kDdim, R"("thresholding": true)",
       "thresholding is true; allowed: false, since this is not computed"},
      {kDdpm, R"("variance_type": "learned_range")",
       "variance_type is \"learned_range\"; allowed: fixed_small, fixed_small_log, fixed_large"},
      {kSolver, R"("variance_type": "learned")", "variance_type is \"learned\"; allowed: fixed"},
      {kSolver, R"("algorithm_type": "sde-dpmsolver++")",
       "algorithm_type is \"sde-dpmsolver++\"; allowed: dpmsolver++"},
      {kSolver, R"("solver_type": "heun")", "solver_type is \"heun\"; allowed: midpoint"},
      {kSolver, R"("solver_order": 3)", "solver_order is 3; allowed: a whole number from 1 to 2"},
      {kSolver, R"("final_sigmas_type": "max")",
       "final_sigmas_type is \"max\"; allowed: zero, sigma_min"},
      {kSolver, R"("lambda_min_clipped": "low")", "lambda_min_clipped is \"low\"; allowed: a num"},
      {kSolver, R"("use_karras_sigmas": true)", "use_karras_sigmas is true; allowed: false"},
      {kSolver, R"("use_exponential_sigmas": true)", "use_exponential_sigmas is true; allowed"},
      {kSolver, R"("use_beta_sigmas": true)", "use_beta_sigmas is true; allowed: false"},
      {kSolver, R"("use_lu_lambdas": true)", "use_lu_lambdas is true; allowed: false"},
      {kSolver, R"("use_flow_sigmas": true)", "use_flow_sigmas is true; allowed: false"},
  };
  for (const auto& wrong : kWrong) {
    const std::string found = complaint(text(wrong.kind, wrong.fields));
    EXPECT_EQ(found.rfind(fmt::format("'s.json': {}", wrong.message), 0), 0U) << found;
    EXPECT_EQ(found.find('\n'), std::string::npos);
  }
}

TEST(SamplerFile, RefusesWhatIsNoConfiguration) {
  EXPECT_EQ(complaint("{}").rfind("'s.json' has no _class_name; allowed: DDPMScheduler", 0), 0U);
  EXPECT_EQ(complaint("[1]").rfind("'s.json' is no JSON object", 0), 0U);
  EXPECT_EQ(complaint("").rfind("'s.json' is no JSON from about its byte 1", 0), 0U);
  EXPECT_EQ(complaint(R"({"_class_name": "DDIM)").rfind("'s.json' is no JSON from", 0), 0U);
  EXPECT_EQ(complaint(R"({"beta_start": 1e999})").rfind("'s.json' has a number", 0), 0U);
  const std::string deep(100'000, '[');
  EXPECT_EQ(complaint(text(kDdim, R"("beta_start": )" + deep + std::string(deep.size(), ']')))
                .rfind("'s.json': beta_start is an array of 1", 0),
            0U);
}

}  // namespace
}  // namespace deeppcr::test
