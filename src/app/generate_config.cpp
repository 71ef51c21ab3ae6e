#include <algorithm>

#include "app/files.hpp"
#include "app/generate.hpp"
#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/files.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/plan/ways.hpp"

namespace deeppcr::app {
namespace {

constexpr Index kMostSteps = 1'000'000, kMostSamples = 1'000'000, kMostSeed = 1'000'000'000'000'000;

const SamplingMethod& find_method(const std::string& name) {
  const auto& all = sampling_methods();
  return *std::find_if(all.begin(), all.end(),
                       [&](const SamplingMethod& method) { return name == method.name; });
}

void add_sampler_options(cli::Options& options) {
  options.add(
      "Sampling",
      {cli::read_file("denoiser",
                      "trained denoiser; without it the one that comes with the program"),
       cli::read_file("autoencoder", "the autoencoder of its latents; the same"),
       word_option("sampler", "ddpm", {"ddpm", "ddim"}, "ddpm: eta 1; ddim: eta 0"),
       real_option("eta", "-1", -1, 1,
                   "share of fresh noise in a step, from 0 to 1; below 0: the sampler's"),
       whole_option("steps", 1000, 1, kMostSteps, "denoising steps L"),
       whole_option("samples", 16, 1, kMostSamples, "samples"),
       whole_option("class", -1, -1, 1'000'000,
                    "class of all samples, where the denoiser has classes; -1: one after another"),
       whole_option("seed", 1, 0, kMostSeed, "of the noise"),
       word_option(
           "network-precision", "auto", {"auto", "float32", "float64"},
           "what the network is evaluated in; states are float64; auto: float64, modules as "
           "their parameters are")});
  options.add(
      "Networks of PyTorch",
      {cli::read_file("sampler-config",
                      "the scheduler_config.json of a published model, whose TorchScript module "
                      "--denoiser is: DDPM, DDIM or DPM-Solver++"),
       text_option("shape", "", "of a state, such as 1,28,28; where the module's file does not say",
                   "C,H,W"),
       whole_option("classes", 0, 0, 1'000'000, "the same; 0: none"),
       real_option("guidance", "1", 0, 100,
                   "classifier-free guidance; 1: none. Two evaluations in one batch"),
       cli::read_file(
           "embedding",
           "HDF5 file with /embedding [samples, ..] that samples are conditioned on, and "
           "/null_embedding for guidance (else zeros)"),
       cli::read_file("decoder", "module that makes pictures of latents"),
       cli::read_file("moments",
                      "HDF5 file with /mean and /variance of the data's numbers, for --method "
                      "gaussian and guesses; without it 0 and 1")});
}

OptionSpec history_option() {
  return whole_option("history", 3, 1, nonlinear::kMostHistory,
                      "earlier changes from sweep to sweep that a sweep is combined with");
}

void add_method_options(cli::Options& options) {
  std::vector<cli::OfferedEntry> methods;
  for (const SamplingMethod& method : sampling_methods()) {
    methods.push_back({method.name, method.help, {}});
    if (method.accelerated) methods.back().options.push_back(history_option());
  }
  options.add(
      "Method",
      {word_option("linear", "hybrid", linear::names(), "newton: solver of the linear chains"),
       word_option("diagonal", "exact", {"exact", "probe"},
                   "quasi-newton: from n columns of jvp, or estimated from one random column"),
       text_option("window", "auto",
                   "steps corrected together; all; auto: as many as fill the cores, 24 rows of a "
                   "batch a rank (published networks: 4 steps)",
                   "W"),
       text_option("guess", "extrapolate",
                   "first states: extrapolate (the drift of the window's last step), gaussian (as "
                   "if the latents were), copy, or coarse:K (K sequential evaluations)",
                   "WHAT"),
       real_option("tolerance", "0", 0, 1,
                   "of the states, in units of a latent's standard deviation; 0: 2.5e-7, or "
                   "2.5e-4 with float32"),
       whole_option("max-iterations", 1'000'000, 1, 1'000'000'000, "sweeps at most"),
       flag_option("no-fallback",
                   "do not end by sequential steps where the sweeps do not converge"),
       flag_option("verify", "sample one step after another too, on the same ranks, and compare")},
      {{"method", "auto", methods}});
}

void add_output_options(cli::Options& options) {
  options.add(
      "Results",
      {cli::written_file("image", file_format::kPicture, "the samples as a grid, PNG"),
       flag_option("keep-trajectory", "--output holds all states, not only the samples"),
       cli::read_file("against", "compare with the samples in an --output file of another run"),
       cli::read_file("held-out",
                      "compare with test images, such as fashion-mnist: 1-Wasserstein distance "
                      "of latents, exact for up to 2000 samples, sliced beyond",
                      "NAME")});
}

models::SamplerOptions read_sampler(const OptionValues& options) {
  models::SamplerOptions sampler;
  sampler.steps = static_cast<int>(options.whole("steps"));
  const double eta = options.real("eta");
  sampler.eta = eta >= 0 ? eta : options.text("sampler") == "ddim" ? 0 : 1;
  if (options.text("network-precision") == "float32")
    sampler.precision = models::NetworkPrecision::float32;
  sampler.seed = static_cast<std::uint64_t>(options.whole("seed"));
  return sampler;
}

/// --diagonal's word for a Jacobian.
std::string diagonal_word(const std::string& word) { return word == "exact" ? "diagonal" : word; }

/// All but the window.
nonlinear::WindowedOptions read_sweeps(const OptionValues& options, const SamplingMethod& method) {
  nonlinear::WindowedOptions sweeps;
  sweeps.jacobian = method.by_diagonal
                        ? nonlinear::jacobian_from(diagonal_word(options.text("diagonal")))
                        : method.jacobian;
  sweeps.linear = options.text("linear");
  if (method.accelerated) sweeps.history = static_cast<int>(options.whole("history"));
  sweeps.extrapolate = options.text("guess") == "extrapolate";
  sweeps.tolerance = {0, options.real("tolerance")};
  sweeps.max_iterations = static_cast<int>(options.whole("max-iterations"));
  sweeps.fallback = !options.flag("no-fallback");
  sweeps.seed = static_cast<std::uint64_t>(options.whole("seed"));
  sweeps.sampler = true;
  return sweeps;
}

Index read_window(const std::string& word, const GenerateConfig& config, int ranks) {
  const Index samples = config.run.chain.batch, steps = config.sampler.steps;
  if (word == "all") return 0;
  if (word == "auto") return default_window(config.solver.jacobian, ranks, samples);
  const Index window = count_of(word);
  if (window >= 1) return std::min(window, steps);
  throw input_error("--window {}: allowed: auto, all, or a number of steps from 1", word);
}

/// extrapolate begins as gaussian does; it is the sweeps that go on by drifts.
Guess read_guess(const std::string& word, Index steps) {
  if (word == "extrapolate" || word == "gaussian") return {};
  if (word == "copy") return {true, 0};
  const Index count = nonlinear::coarsening(word).value_or(0);
  if (count >= 1 && count <= steps) return {false, count};
  throw input_error(
      "--guess {}: allowed: extrapolate, gaussian, copy, coarse:K with K from 1 to the steps, {}",
      word, steps);
}

/// Options that go with a published model, or with an own one alone.
void refuse_other_kind(const OptionValues& options) {
  const std::string config = options.text("sampler-config"), denoiser = options.text("denoiser");
  if (config.empty()) {
    for (const char* name : {"shape", "classes", "guidance", "embedding", "decoder", "moments"}) {
      if (options.given(name))
        throw input_error("--{} goes with --sampler-config, for a module of PyTorch; leave it out",
                          name);
    }
    const std::string ending = ".pt";
    if (denoiser.size() > ending.size() &&
        denoiser.compare(denoiser.size() - ending.size(), ending.size(), ending) == 0) {
      throw input_error(
          "--denoiser {}: a module of PyTorch needs --sampler-config too, the "
          "scheduler_config.json that lies beside published models",
          denoiser);
    }
    return;
  }
  if (denoiser.empty())
    throw input_error("--sampler-config {} needs --denoiser FILE, the module that it belongs to",
                      config);
  if (!options.text("autoencoder").empty())
    throw input_error(
        "--autoencoder goes with denoisers that were trained here; a module of PyTorch that makes "
        "pictures of latents is --decoder");
  if (options.given("sampler"))
    throw input_error("--sampler {}: {} says which; leave it out", options.text("sampler"), config);
}

PublishedConfig read_published(const OptionValues& options) {
  PublishedConfig published;
  published.sampler_config = options.text("sampler-config");
  published.decoder = options.text("decoder");
  published.moments = options.text("moments");
  published.embedding = options.text("embedding");
  published.classes = static_cast<int>(options.whole("classes"));
  published.guidance = options.real("guidance");
  published.eta = options.real("eta");
  published.steps_given = options.given("steps");
  const std::string precision = options.text("network-precision"), shape = options.text("shape");
  published.precision = precision == "auto" ? 0 : precision == "float32" ? 32 : 64;
  for (std::size_t from = 0; from <= shape.size() && !shape.empty();) {
    const std::size_t comma = std::min(shape.find(',', from), shape.size());
    const Index size = count_of(shape.substr(from, comma - from));
    if (size < 1)
      throw input_error(
          "--shape {}: allowed: whole numbers from 1 with commas between them, 1,28,28", shape);
    published.shape.push_back(size);
    from = comma + 1;
  }
  return published;
}

void refuse_contradictions(const OptionValues& options, const GenerateConfig& config) {
  refuse_other_kind(options);
  const bool one = config.published.sampler_config.empty() &&
                   (options.text("denoiser").empty() != options.text("autoencoder").empty());
  if (one) throw input_error("--denoiser and --autoencoder belong together; give both or neither");
  if (config.keep_trajectory && config.run.files.output.empty())
    throw input_error("--keep-trajectory needs --output FILE, where it goes");
  if (config.method.sweeps) return;
  for (const char* name : {"restart", "checkpoint"}) {
    if (!options.text(name).empty())
      throw input_error(
          "--{} goes with sweeps, and --method {} has none; leave it out or use another method",
          name, config.method.name);
  }
}

}  // namespace

const std::vector<SamplingMethod>& sampling_methods() {
  using nonlinear::Jacobian;
  static const std::vector<SamplingMethod> all{
      {"auto",
       "gaussian or sequential, by the time of a few sweeps and steps; with a trace or a "
       "checkpoint gaussian",
       Jacobian::gaussian, false, true, true},
      {"gaussian", "the Jacobians of a denoiser of Gaussian latents: no evaluation, few sweeps",
       Jacobian::gaussian},
      {"parataa", "gaussian's sweeps with triangular Anderson acceleration, for long windows",
       Jacobian::gaussian, false, true, false, true},
      {"picard", "the part of a step that is linear in the state (ParaDiGMS)",
       Jacobian::linear_part},
      {"quasi-newton", "the diagonals of the Jacobians, --diagonal", Jacobian::diagonal, true},
      {"newton", "the Jacobians themselves, reduced by --linear", Jacobian::dense},
      {"sequential", "one step after another, samples split over ranks: the baseline",
       Jacobian::gaussian, false, false}};
  return all;
}

const SamplingMethod& closed_method(bool sweeps) {
  const auto& all = sampling_methods();
  return *std::find_if(all.begin(), all.end(), [&](const SamplingMethod& method) {
    return !method.open && method.sweeps == sweeps;
  });
}

void add_generate_options(cli::Options& options) {
  add_sampler_options(options);
  add_method_options(options);
  add_output_options(options);
  add_file_options(options, result_options());
}

Index default_window(nonlinear::Jacobian jacobian, int ranks, Index samples) {
  return jacobian == nonlinear::Jacobian::dense ? 0 : plan::filling_window(ranks, samples);
}

GenerateConfig read_generate_config(const OptionValues& options, int ranks) {
  check_file_options(options);
  GenerateConfig config;
  config.run.files = read_files_config(options);
  config.run.chain.batch = options.whole("samples");
  config.run.chain.model.model = "denoiser";
  config.run.chain.model.steps = options.whole("steps");
  config.run.chain.model.seed = static_cast<std::uint64_t>(options.whole("seed"));
  config.denoiser = options.text("denoiser");
  config.autoencoder = options.text("autoencoder");
  config.published = read_published(options);
  config.sampler = read_sampler(options);
  config.method = find_method(options.text("method"));
  config.solver = read_sweeps(options, config.method);
  config.solver.window = read_window(options.text("window"), config, ranks);
  config.window_open = options.text("window") == "auto";
  config.guess = read_guess(options.text("guess"), config.sampler.steps);
  config.label = static_cast<int>(options.whole("class"));
  config.verify = options.flag("verify");
  config.keep_trajectory = options.flag("keep-trajectory");
  config.image = options.text("image");
  config.against = options.text("against");
  config.held_out = options.text("held-out");
  refuse_contradictions(options, config);
  // One step after another has no sweeps to trace, nor a safe point to stop at.
  const FilesConfig& files = config.run.files;
  const bool sweeps = !files.trace.empty() || !files.checkpoint.empty() || !files.restart.empty() ||
                      files.max_hours > 0;
  if (config.method.open && sweeps) config.method = closed_method(true);
  if (config.denoiser.empty()) config.denoiser = config.autoencoder = own_networks();
  return config;
}

}  // namespace deeppcr::app
