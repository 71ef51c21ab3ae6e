#include "deeppcr/io/sampler_file.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "deeppcr/core/error.hpp"

namespace deeppcr::io {

namespace {

using Json = nlohmann::json;
using models::SamplerConfig;
using models::SamplerKind;

/// What Python writes and JSON does not have, as texts.
std::string quote_infinities(const std::string& text) {
  std::string quoted;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char* word : {"-Infinity", "Infinity", "NaN"}) {
      const std::string found = word;
      if (in_text || text.compare(i, found.size(), found) != 0) continue;
      quoted += '"' + found + '"';
      i += found.size();
      break;
    }
    if (i >= text.size()) break;
    quoted += text[i];
    if (in_text && text[i] == '\\' && i + 1 < text.size()) {
      quoted += text[++i];
    } else if (text[i] == '"') {
      in_text = !in_text;
    }
  }
  return quoted;
}

Json parse(const std::string& text, const std::string& file) {
  try {
    Json json = Json::parse(quote_infinities(text));
    if (json.is_object()) return json;
  } catch (const Json::parse_error& error) {
    throw input_error("'{}' is no JSON from about its byte {} on; give a scheduler_config.json",
                      file, error.byte);
  } catch (const Json::out_of_range&) {
    throw input_error("'{}' has a number that no computer holds; give a scheduler_config.json",
                      file);
  }
  throw input_error("'{}' is no JSON object; give a scheduler_config.json", file);
}

/// A value for a message.
std::string shown(const Json& value) {
  if (value.is_structured()) return fmt::format("an {} of {}", value.type_name(), value.size());
  constexpr std::size_t kMost = 60;
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + " ..";
}

template <typename E>
using Named = std::vector<std::pair<const char*, E>>;

/// The fields of the file, and which have been asked for.
class Fields {
 public:
  Fields(Json json, std::string file) : json_(std::move(json)), file_(std::move(file)) {}

  /// Null where it is missing or null.
  const Json* find(const char* name) {
    asked_.insert(name);
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  Error refused(const char* name, const Json& value, const std::string& allowed) const {
    return input_error("'{}': {} is {}; allowed: {}", file_, name, shown(value), allowed);
  }

  void read(const char* name, bool& value) {
    const Json* found = find(name);
    if (found == nullptr) return;
    if (!found->is_boolean()) throw refused(name, *found, "true or false");
    value = found->get<bool>();
  }
  void read(const char* name, int lowest, int highest, int& value) {
    const Json* found = find(name);
    if (found == nullptr) return;
    const bool small = found->is_number_integer() && found->get<double>() >= lowest &&
                       found->get<double>() <= highest;
    if (!small)
      throw refused(name, *found, fmt::format("a whole number from {} to {}", lowest, highest));
    value = found->get<int>();
  }
  template <typename E>
  void read(const char* name, const Named<E>& words, E& value) {
    const Json* found = find(name);
    if (found == nullptr) return;
    std::vector<const char*> allowed;
    for (const auto& [word, meaning] : words) {
      allowed.push_back(word);
      if (*found != word) continue;
      value = meaning;
      return;
    }
    throw refused(name, *found, fmt::format("{}", fmt::join(allowed, ", ")));
  }
  /// A number above 0, up to a bound.
  void read_positive(const char* name, double highest, double& value) {
    const Json* found = find(name);
    if (found != nullptr) value = positive(name, *found, highest);
  }
  double positive(const char* name, const Json& value, double highest) const {
    if (value.is_number() && value.get<double>() > 0 && value.get<double>() <= highest)
      return value.get<double>();
    throw refused(name, value,
                  std::isinf(highest) ? "a number above 0"
                                      : fmt::format("a number above 0, up to {:g}", highest));
  }
  /// What is not computed must be off.
  void require_off(const char* name) {
    bool on = false;
    read(name, on);
    if (on) throw refused(name, *find(name), "false, since this is not computed");
  }

  /// What nobody has asked for, without control characters.
  std::vector<std::string> others() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : json_.items()) {
      if (asked_.count(name) > 0 || name.rfind('_', 0) == 0) continue;
      const std::string quoted = Json(name).dump(-1, ' ', true);
      names.push_back(quoted.substr(1, quoted.size() - 2));
    }
    return names;
  }

 private:
  Json json_;
  std::string file_;
  std::set<std::string> asked_;
};

void read_betas(Fields& fields, SamplerConfig& config) {
  using models::BetaSchedule;
  constexpr int kMostTimes = 1'000'000;
  fields.read("num_train_timesteps", 1, kMostTimes, config.train_steps);
  fields.read_positive("beta_start", 1, config.beta_start);
  fields.read_positive("beta_end", 1, config.beta_end);
  fields.read<BetaSchedule>("beta_schedule",
                            {{"linear", BetaSchedule::linear},
                             {"scaled_linear", BetaSchedule::scaled_linear},
                             {"squaredcos_cap_v2", BetaSchedule::squaredcos_cap_v2}},
                            config.beta_schedule);
  fields.read("rescale_betas_zero_snr", config.rescale_betas_zero_snr);
  const Json* betas = fields.find("trained_betas");
  if (betas == nullptr) return;
  if (!betas->is_array() || betas->size() != static_cast<std::size_t>(config.train_steps))
    throw fields.refused(
        "trained_betas", *betas,
        fmt::format("a list of num_train_timesteps numbers, {}, or null", config.train_steps));
  for (const Json& beta : *betas)
    config.trained_betas.push_back(fields.positive("one of trained_betas", beta, 1));
}

void read_times(Fields& fields, SamplerConfig& config) {
  using models::Spacing;
  fields.read<Spacing>("timestep_spacing",
                       {{"leading", Spacing::leading},
                        {"linspace", Spacing::linspace},
                        {"trailing", Spacing::trailing}},
                       config.spacing);
  fields.read("steps_offset", 0, config.train_steps - 1, config.steps_offset);
}

void read_prediction(Fields& fields, SamplerConfig& config) {
  using models::Prediction;
  fields.read<Prediction>("prediction_type",
                          {{"epsilon", Prediction::epsilon},
                           {"sample", Prediction::sample},
                           {"v_prediction", Prediction::v_prediction}},
                          config.prediction);
  // Quantiles of a whole sample, and what only they use.
  fields.require_off("thresholding");
  fields.find("dynamic_thresholding_ratio");
  fields.find("sample_max_value");
}

void read_clip(Fields& fields, SamplerConfig& config) {
  bool clip = true;
  fields.read("clip_sample", clip);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  fields.read_positive("clip_sample_range", kInfinity, config.clip);
  if (!clip) config.clip = kInfinity;
}

void read_ddpm(Fields& fields, SamplerConfig& config) {
  using models::FreshVariance;
  read_clip(fields, config);
  fields.read<FreshVariance>("variance_type",
                             {{"fixed_small", FreshVariance::fixed_small},
                              {"fixed_small_log", FreshVariance::fixed_small},
                              {"fixed_large", FreshVariance::fixed_large}},
                             config.variance);
}

void read_ddim(Fields& fields, SamplerConfig& config) {
  read_clip(fields, config);
  fields.read("set_alpha_to_one", config.set_alpha_to_one);
}

void read_lambda(Fields& fields, SamplerConfig& config) {
  const Json* lowest = fields.find("lambda_min_clipped");
  if (lowest == nullptr || *lowest == "-Infinity") return;
  if (!lowest->is_number()) throw fields.refused("lambda_min_clipped", *lowest, "a number");
  config.lambda_min_clipped = lowest->get<double>();
}

void read_solver(Fields& fields, SamplerConfig& config) {
  using models::FinalSigma;
  config.clip = std::numeric_limits<double>::infinity();
  int only = 0;
  fields.read<int>("algorithm_type", {{"dpmsolver++", 0}}, only);
  fields.read<int>("solver_type", {{"midpoint", 0}}, only);
  fields.read<int>("variance_type", {{"fixed_small", 0}, {"fixed_large", 0}}, only);
  fields.read("solver_order", 1, 2, config.solver_order);
  fields.read("lower_order_final", config.lower_order_final);
  fields.read("euler_at_final", config.euler_at_final);
  fields.read<FinalSigma>("final_sigmas_type",
                          {{"zero", FinalSigma::zero}, {"sigma_min", FinalSigma::sigma_min}},
                          config.final_sigma);
  for (const char* name : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                           "use_lu_lambdas", "use_flow_sigmas"})
    fields.require_off(name);
  fields.find("flow_shift");
  read_lambda(fields, config);
}

}  // namespace

SamplerFile read_sampler_config(const std::string& text, const std::string& file) {
  Fields fields(parse(text, file), file);
  const Named<SamplerKind> kinds{{"DDPMScheduler", SamplerKind::ddpm},
                                 {"DDIMScheduler", SamplerKind::ddim},
                                 {"DPMSolverMultistepScheduler", SamplerKind::dpm_solver}};
  SamplerFile read;
  SamplerConfig& config = read.config;
  if (fields.find("_class_name") == nullptr) {
    throw input_error("'{}' has no _class_name; allowed: {}, {}, {}", file, kinds[0].first,
                      kinds[1].first, kinds[2].first);
  }
  fields.read("_class_name", kinds, config.kind);
  const bool solver = config.kind == SamplerKind::dpm_solver;
  if (solver) config.spacing = models::Spacing::linspace;
  read_betas(fields, config);
  read_times(fields, config);
  read_prediction(fields, config);
  if (solver) read_solver(fields, config);
  if (config.kind == SamplerKind::ddpm) read_ddpm(fields, config);
  if (config.kind == SamplerKind::ddim) read_ddim(fields, config);
  read.ignored = fields.others();
  return read;
}

}  // namespace deeppcr::io
