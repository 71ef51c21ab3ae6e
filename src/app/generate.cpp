#include "app/generate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "app/files.hpp"
#include "app/interrupts.hpp"
#include "app/report.hpp"
#include "app/sampling_model.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/io/networks.hpp"
#include "deeppcr/models/wasserstein.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

/// Noise, states, those of --verify, and the trajectory of traces: in doubles, on each rank; and
/// what sweeps need.
void check_sizes(const parallel::Communicator& comm, const GenerateConfig& config) {
  const models::ModelOptions& model = config.run.chain.model;
  sequence::check_index_size(model.steps, config.run.chain.batch, model.width);
  const double states = static_cast<double>(model.steps + 1) *
                        static_cast<double>(config.run.chain.batch) * model.width;
  const double sweeps =
      config.method.sweeps
          ? nonlinear::Windowed(config.solver)
                .memory({model.steps, config.run.chain.batch, model.width, comm.size()})
          : 0;
  parallel::check_memory(comm, sizeof(Real) * states * (config.verify ? 5 : 4) + sweeps);
}

/// The states of one run, equal on all ranks.
struct Sampling {
  Sampling(const parallel::Communicator& comm, std::unique_ptr<models::SamplerChain> sampler)
      : chain(std::move(sampler)),
        trajectory(comm, parallel::BlockLayout::replicated(chain->num_steps(), comm.size()),
                   chain->batch(), chain->width()) {
    chain->start(trajectory.input());
  }
  /// z_0 and all states, [L + 1, S, n].
  States states() { return trajectory.whole(); }
  /// What has been sampled: the output of the last state, [S, n].
  ConstState latents() {
    const State last = states()[chain->num_steps()];
    const sequence::Columns output = chain->output();
    latents_.reserve(last.extent(0) * output.count);
    for (Index b = 0; b < last.extent(0); ++b)
      std::copy_n(last[b].data() + output.first, output.count, latents_.data() + b * output.count);
    return {latents_.data(), {last.extent(0), output.count}};
  }

  std::unique_ptr<models::SamplerChain> chain;
  sequence::Trajectory trajectory;

 private:
  Buffer<Real> latents_;
};

/// All steps by sweeps, or one after another. Collective.
SolverRun sample(const cli::Context& context, const GenerateConfig& config, Sampling& sampling) {
  Method method;
  method.iterates = config.method.sweeps;
  method.most_iterations = sampling.chain->num_steps();
  Index guessed = 0;
  method.guess = [&] { guessed = fill_guess(*sampling.chain, sampling.trajectory, config.guess); };
  method.solve = [&](Index frozen, const nonlinear::Monitors& monitors) {
    if (config.method.sweeps) {
      auto report = nonlinear::Windowed(config.solver)
                        .sample(*sampling.chain, sampling.trajectory, frozen, monitors);
      report.evaluations += guessed;
      report.sequential_evaluations += guessed;
      return report;
    }
    return nonlinear::find("sequential").make()->solve(*sampling.chain, sampling.trajectory);
  };
  return run_solver(context, config.run, sampling.trajectory, method);
}

double largest_difference(ConstStates a, ConstStates b) {
  double largest = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a.data()[i] - b.data()[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest;
}

/// Compares with one step after another, on the same ranks.
void add_verification(const cli::Context& context, const std::string& method, double seconds,
                      Sampling& sampling, Report& report) {
  const Index L = sampling.chain->num_steps();
  const States ours = sampling.states();
  Buffer<Real> values(ours.size());
  const States expected(values.data(), ours.shape());
  std::copy_n(ours.data(), ours[0].size(), expected.data());
  const double sequential = nonlinear::propagate_samples(context.comm, *sampling.chain, expected);
  const double of_states = largest_difference(ours, expected);
  const double of_samples = largest_difference(ours.slice(L, L + 1), expected.slice(L, L + 1));
  report.json["sequential_seconds"] = sequential;
  report.json["speedup"] = sequential / seconds;
  report.json["max_error"] = of_states;
  report.json["sample_error"] = of_samples;
  report.line("sequential", "{:.3g} s on these ranks, {:.3g} s by {}: {:.2f} times as fast",
              sequential, seconds, method, sequential / seconds);
  report.line("error, samples", "{:.3e}  (all states: {:.3e})", of_samples, of_states);
}

/// Latents to compare with, as many as samples in each set; empty where nobody compares.
struct OtherLatents {
  std::vector<Real> against;
  std::array<std::vector<Real>, 2> held_out;
};

OtherLatents read_others(const cli::Context& context, const GenerateConfig& config,
                         const SamplingModel& model) {
  OtherLatents others;
  const Index S = config.run.chain.batch, n = model.sample_width();
  if (!config.against.empty()) {
    others.against = io::read_latents(context.comm, config.against, n);
    const Index samples = static_cast<Index>(others.against.size()) / n;
    if (samples != S) {
      throw input_error("--against {}: it has {} samples, this run {}", config.against, samples, S);
    }
  }
  if (config.held_out.empty()) return others;
  for (const Index k : {0, 1}) {
    const std::vector<Real> images =
        io::read_images(context.comm, config.held_out, {false, S, k * S}).inputs;
    const Index pixels = static_cast<Index>(images.size()) / S;
    std::vector<Real>& latents = others.held_out[static_cast<std::size_t>(k)];
    latents.resize(static_cast<std::size_t>(S * n));
    model.encode("--held-out " + config.held_out, {images.data(), {S, pixels}},
                 {latents.data(), {S, n}});
  }
  return others;
}

void add_distances(const OtherLatents& others, ConstState latents, Report& report) {
  const auto view = [&](const auto& set) { return ConstState(set.data(), latents.shape()); };
  const auto add = [&](const char* field, const char* label, const models::Wasserstein& found) {
    report.json[field] = found.distance;
    report.json["wasserstein_exact"] = found.exact;
    report.line(label, "{:.4g}  ({})", found.distance, found.exact ? "exact" : "sliced");
  };
  if (!others.against.empty()) {
    const std::array<Index, 3> shape{1, latents.extent(0), latents.extent(1)};
    const double difference =
        largest_difference({latents.data(), shape}, {others.against.data(), shape});
    report.json["same_noise_error"] = difference;
    report.line("difference, same noise", "{:.3e}", difference);
    add("wasserstein_against", "Wasserstein, other samples",
        models::wasserstein(latents, view(others.against)));
  }
  if (others.held_out[0].empty()) return;
  const ConstState first = view(others.held_out[0]), second = view(others.held_out[1]);
  add("wasserstein_held_out", "Wasserstein, held-out data", models::wasserstein(latents, first));
  add("wasserstein_among_held_out", "  two held-out sets", models::wasserstein(second, first));
}

/// In pieces: a decoder may need far more room than its pictures.
void decode_at_root(const parallel::Communicator& comm, const SamplingModel& model,
                    ConstState samples, Buffer<Real>& pictures) {
  constexpr Index kTogether = 16;
  const Index S = samples.extent(0), n = samples.extent(1), pixels = model.image_shape().numbers();
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    for (Index first = 0; first < S; first += kTogether) {
      const Index count = std::min(kTogether, S - first);
      model.decode({samples.data() + first * n, {count, n}},
                   {pictures.data() + first * pixels, {count, pixels}});
    }
  });
}

void write_results(const cli::Context& context, const GenerateConfig& config,
                   const SamplingModel& model, Sampling& sampling) {
  const std::string& output = config.run.files.output;
  if (output.empty() && config.image.empty()) return;
  const UndisturbedWriting undisturbed;
  const Index S = sampling.chain->batch();
  const ImageShape shape = model.image_shape();
  Buffer<Real> decoded(S * shape.numbers());
  decode_at_root(context.comm, model, sampling.latents(), decoded);
  const io::Images images(decoded.data(), {S, shape.channels, shape.height, shape.width});
  parallel::agree(context.comm, [&] {
    if (context.comm.is_root() && !config.image.empty()) io::write_image_grid(config.image, images);
  });
  if (output.empty()) return;
  io::Samples samples{sampling.latents(), images, {}, {}};
  if (config.keep_trajectory) {
    samples.trajectory = sampling.states();
    samples.noise = sampling.chain->inputs().values;
  }
  io::write_samples(context.comm, output, provenance(context), samples);
}

std::string method_of(const GenerateConfig& config) {
  const SamplingMethod& method = config.method;
  if (method.by_diagonal)
    return fmt::format("{}+{}", method.name, nonlinear::name(config.solver.jacobian));
  const bool dense = method.jacobian == nonlinear::Jacobian::dense;
  return dense ? fmt::format("{}+{}", method.name, config.solver.linear) : method.name;
}

Report report_of(const cli::Context& context, const GenerateConfig& config,
                 const SamplingModel& model, const SolverRun& run) {
  const nonlinear::SolveReport& solve = run.report;
  Report report(context, "generate", solve.status);
  report.json["eta"] = config.sampler.eta;
  report.json["network_precision"] = model.is_single() ? "float32" : "float64";
  report.json["window"] = config.solver.window;
  report.json["evaluations"] = solve.evaluations;
  report.json["sequential_evaluations"] = solve.sequential_evaluations;
  report.add_model(config.run.chain);
  report.add_method(method_of(config));
  report.line("sampler", "{}", model.about());
  report.add_solve(run, "sweeps");
  if (config.method.sweeps) report.line("window", "{} steps (0: all)", config.solver.window);
  report.line("network evaluations", "{} a sample ({:.2f} times the steps), {} one after another",
              solve.evaluations,
              static_cast<double>(solve.evaluations) / static_cast<double>(config.sampler.steps),
              solve.sequential_evaluations);
  return report;
}

}  // namespace

Index fill_guess(const models::SamplerChain& chain, sequence::Trajectory& trajectory,
                 const Guess& guess) {
  if (!guess.copy) return chain.fill_guess(trajectory.whole(), guess.coarse_steps);
  trajectory.fill_with_input();
  return 0;
}

namespace {

/// What goes with networks that were trained elsewhere. They gain less from a batch than own ones,
/// and some of their steps converge slowly: windows of few steps a rank.
void settle_published(const SamplingModel& model, int ranks, GenerateConfig& config) {
  // How their steps amplify errors is not known beforehand.
  constexpr double kMargin = 0.2;
  constexpr int kMostProducts = 256;
  constexpr Index kStepsARank = 4;
  nonlinear::WindowedOptions& solver = config.solver;
  solver.margin = kMargin;
  if (config.window_open && solver.window > 0) solver.window = kStepsARank * ranks;
  solver.window = std::min<Index>(solver.window, config.sampler.steps);
  config.guess.coarse_steps = std::min<Index>(config.guess.coarse_steps, config.sampler.steps);
  const bool by_columns = solver.jacobian == nonlinear::Jacobian::dense ||
                          solver.jacobian == nonlinear::Jacobian::diagonal;
  if (config.method.sweeps && by_columns && model.state_width() > kMostProducts) {
    throw input_error(
        "--method {}: it would take {} products with the network's Jacobian for each step; allowed "
        "up to {}: use gaussian, picard, parataa, or quasi-newton with --diagonal probe",
        config.method.name, model.state_width(), kMostProducts);
  }
}

}  // namespace

int run_generate(const OptionValues& options, const cli::Context& context) {
  GenerateConfig config = read_generate_config(options, context.comm.size());
  const auto model = read_sampling_model(context.comm, config);
  config.run.chain.model.width = model->state_width();
  config.run.chain.function = model->checksum();
  double& tolerance = config.solver.tolerance.atol;
  if (tolerance == 0) tolerance = model->is_single() ? 2.5e-4 : 2.5e-7;
  if (!config.published.sampler_config.empty())
    settle_published(*model, context.comm.size(), config);
  check_sizes(context.comm, config);
  const OtherLatents others = read_others(context, config, *model);
  Sampling sampling(context.comm, model->make_chain());
  std::string choice;
  if (config.method.open) choice = choose_method(*sampling.chain, sampling.trajectory, config);
  stop_before_start(context.comm);
  SolverRun run = sample(context, config, sampling);
  run.report.choice = choice;
  Report report = report_of(context, config, *model, run);
  if (run.solved()) {
    write_results(context, config, *model, sampling);
    if (config.verify)
      add_verification(context, method_of(config), seconds_of(run.report.seconds, "total"),
                       sampling, report);
    add_distances(others, sampling.latents(), report);
  }
  return report.print(run.why());
}

}  // namespace deeppcr::app
