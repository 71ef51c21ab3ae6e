#include "app/generate.hpp"

#include <algorithm>
#include <cmath>

#include "app/diffusion_files.hpp"
#include "app/forward.hpp"
#include "app/interrupts.hpp"
#include "app/memory.hpp"
#include "app/progress.hpp"
#include "app/run_setup.hpp"
#include "app/storage.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/nonlinear/sequential.hpp"
#include "deeppcr/parallel/exchange.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {
namespace {

Networks read_networks(const parallel::Communicator& comm, const GenerateConfig& config) {
  Networks networks{storage::read_denoiser(comm, config.denoiser),
                    storage::read_autoencoder(comm, config.autoencoder)};
  const int n = networks.denoiser.shape().latent, m = networks.autoencoder.shape().latent;
  if (n != m) {
    throw input_error("{} denoises latents of {} numbers, but {} makes latents of {}",
                      config.denoiser, n, config.autoencoder, m);
  }
  return networks;
}

/// Noise, states, those of --verify, and the trajectory of traces: in doubles, on each rank.
void check_sizes(const parallel::Communicator& comm, const GenerateConfig& config) {
  const models::ModelOptions& model = config.run.chain.model;
  sequence::check_index_size(model.steps, config.run.chain.batch, model.width);
  const double states = static_cast<double>(model.steps + 1) *
                        static_cast<double>(config.run.chain.batch) * model.width;
  check_memory(comm, sizeof(Real) * states * (config.verify ? 5 : 4));
}

std::vector<int> labels_of(const GenerateConfig& config, int classes) {
  if (classes == 0 && config.label >= 0)
    throw input_error("--class {}: this denoiser has no classes; leave it out", config.label);
  std::vector<int> labels;
  for (Index b = 0; b < config.run.chain.batch && classes > 0; ++b)
    labels.push_back(config.label >= 0 ? config.label : static_cast<int>(b % classes));
  return labels;
}

/// The states of one run, equal on all ranks.
struct Sampling {
  Sampling(const parallel::Communicator& comm, const models::Denoiser& denoiser,
           const GenerateConfig& config)
      : chain(denoiser, config.sampler, config.run.chain.batch),
        trajectory(comm, parallel::BlockLayout::replicated(chain.num_steps(), comm.size()),
                   chain.batch(), chain.width()) {
    chain.start(trajectory.input());
  }
  /// z_0 and all states, [L + 1, S, n].
  States states() { return trajectory.whole(); }
  ConstState latents() {
    const State last = states()[chain.num_steps()];
    return last;
  }

  models::DenoisingChain chain;
  sequence::Trajectory trajectory;
};

/// All steps by sweeps, with trace, checkpoints, progress and stops. Collective.
void sample_by_sweeps(const Context& context, Sampling& sampling, GenerateReport& report) {
  const GenerateConfig& config = report.config;
  const FilesConfig& files = config.run.files;
  std::optional<storage::Resumed> resumed;
  if (!files.restart.empty())
    resumed = storage::restart(context, config.run.chain, files, sampling.trajectory);
  Index guessed = 0;
  if (resumed) {
    report.iterations_before = resumed->iterations;
  } else {
    guessed = fill_guess(sampling.chain, config.guess, sampling.states());
  }
  Interrupts interrupts(context.comm, {files.folder(), files.max_hours, files.minutes_to_save});
  Progress progress(context.comm.is_root() && !context.quiet, sampling.chain.num_steps());
  const auto recorder = storage::record(context, config.run, resumed, sampling.trajectory);
  nonlinear::Monitors monitors{&interrupts, &progress};
  if (recorder) monitors.push_back(recorder.get());
  report.solve = nonlinear::Windowed(config.solver)
                     .sample(sampling.chain, sampling.trajectory,
                             resumed ? resumed->frozen_prefix : 0, monitors);
  report.solve.evaluations += guessed;
  report.solve.sequential_evaluations += guessed;
  const UndisturbedWriting undisturbed;
  if (recorder) recorder->finish(report.solve, parallel::Runtime::unused_petsc_options());
  if (report.solve.status == nonlinear::Status::interrupted) {
    report.stopped_by = interrupts.stopped_by();
    report.checkpoint = recorder ? files.checkpoint_path() : "";
  }
}

double largest_difference(ConstStates a, ConstStates b) {
  double largest = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a.data()[i] - b.data()[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest;
}

void verify(const Context& context, Sampling& sampling, GenerateReport& report) {
  const Index L = sampling.chain.num_steps();
  const States ours = sampling.states();
  Buffer<Real> values(ours.size());
  const States expected(values.data(), ours.shape());
  std::copy_n(ours.data(), ours[0].size(), expected.data());
  report.sequential_seconds = nonlinear::propagate_samples(context.comm, sampling.chain, expected);
  report.states_error = largest_difference(ours, expected);
  report.last_error = largest_difference(ours.slice(L, L + 1), expected.slice(L, L + 1));
}

/// Latents of `count` test images from the first-th on.
std::vector<Real> held_out_latents(const Context& context, const Networks& networks,
                                   const std::string& set, Index first, Index count) {
  const std::vector<Real> images = storage::read_test_images(context.comm, set, first, count);
  const Index n = networks.autoencoder.shape().latent;
  const Index pixels = static_cast<Index>(images.size()) / count;
  if (pixels != networks.autoencoder.shape().pixels) {
    throw input_error("--held-out {}: its images have {} pixels, the autoencoder's {}", set, pixels,
                      networks.autoencoder.shape().pixels);
  }
  std::vector<Real> latents(static_cast<std::size_t>(count * n));
  networks.autoencoder.encode({images.data(), {count, pixels}}, {latents.data(), {count, n}});
  return latents;
}

/// Latents to compare with, read before the sampling begins; empty where nobody asks.
struct OtherLatents {
  std::vector<Real> against, held_out, also_held_out;
};

OtherLatents read_others(const Context& context, const GenerateConfig& config,
                         const Networks& networks) {
  OtherLatents others;
  const Index S = config.run.chain.batch, n = networks.denoiser.shape().latent;
  if (!config.against.empty()) {
    others.against = storage::read_latents(context.comm, config.against, n);
    if (static_cast<Index>(others.against.size()) != S * n) {
      throw input_error("--against {}: it has {} samples, this run {}", config.against,
                        static_cast<Index>(others.against.size()) / n, S);
    }
  }
  if (!config.held_out.empty()) {
    others.held_out = held_out_latents(context, networks, config.held_out, 0, S);
    others.also_held_out = held_out_latents(context, networks, config.held_out, S, S);
  }
  return others;
}

Quality compare(const OtherLatents& others, ConstState latents) {
  Quality quality;
  const Index S = latents.extent(0), n = latents.extent(1);
  const auto view = [&](const std::vector<Real>& set) { return ConstState(set.data(), {S, n}); };
  if (!others.against.empty()) {
    quality.same_noise_error =
        largest_difference({latents.data(), {1, S, n}}, {others.against.data(), {1, S, n}});
    quality.against = models::wasserstein(latents, view(others.against));
  }
  if (!others.held_out.empty()) {
    quality.held_out = models::wasserstein(latents, view(others.held_out));
    quality.among_held_out = models::wasserstein(view(others.also_held_out), view(others.held_out));
  }
  return quality;
}

void write_results(const Context& context, const GenerateConfig& config, const Networks& networks,
                   Sampling& sampling) {
  const std::string& output = config.run.files.output;
  if (output.empty() && config.image.empty()) return;
  const UndisturbedWriting undisturbed;
  const Index S = sampling.chain.batch();
  const int pixels = networks.autoencoder.shape().pixels;
  // Square images stay square; others become one row of pixels each.
  const auto side = static_cast<Index>(std::lround(std::sqrt(pixels)));
  const bool square = side * side == pixels;
  Buffer<Real> decoded(S * pixels);
  networks.autoencoder.decode(sampling.latents(), {decoded.data(), {S, pixels}});
  const View<const Real, 3> images(decoded.data(), {S, square ? side : 1, square ? side : pixels});
  if (!config.image.empty()) storage::write_picture(context.comm, config.image, images);
  if (output.empty()) return;
  storage::GeneratedSamples samples{sampling.latents(), images, {}};
  if (config.keep_trajectory) samples.trajectory = sampling.states();
  storage::write_samples(context, output, samples);
}

}  // namespace

Index fill_guess(const models::DenoisingChain& chain, const Guess& guess, States states) {
  const Index L = chain.num_steps(), S = states.extent(1), n = states.extent(2);
  if (guess.kind == Guess::Kind::copy) {
    for (Index l = 1; l <= L; ++l) std::copy(states[0].begin(), states[0].end(), states[l].begin());
    return 0;
  }
  Buffer<Real> drift(S * n), value(S * n);
  const State no_drift(drift.data(), {S, n});
  if (guess.kind != Guess::Kind::coarse) {
    chain.extrapolate({0, L}, states[0], no_drift, states.slice(1, L + 1));
    return 0;
  }
  // The drift of every (L / K)-th step stands for those up to the next.
  for (int k = 0; k < guess.coarse_steps; ++k) {
    const Index first = k * L / guess.coarse_steps, last = (k + 1) * L / guess.coarse_steps;
    const ConstState z = states[first];
    chain.value({first, first + 1}, {z.data(), {1, S, n}}, {value.data(), {1, S, n}});
    chain.drift(first, z, {value.data(), {S, n}}, no_drift);
    chain.extrapolate({first, last}, z, no_drift, states.slice(first + 1, last + 1));
  }
  return guess.coarse_steps;
}

int run_generate(const boost::program_options::variables_map& options, const Context& context) {
  GenerateReport report;
  report.config = read_generate_config(options, context.comm.size());
  GenerateConfig& config = report.config;
  const Networks networks = read_networks(context.comm, config);
  config.run.chain.model.width = networks.denoiser.shape().latent;
  const auto parameters = networks.denoiser.parameters();
  config.run.chain.function = storage::checksum({parameters.data(), {parameters.size()}});
  config.sampler.labels = labels_of(config, networks.denoiser.shape().classes);
  check_sizes(context.comm, config);
  const OtherLatents others = read_others(context, config, networks);
  report.ranks = context.comm.size();
  Sampling sampling(context.comm, networks.denoiser, config);
  if (config.method.open) {
    report.choice = choose_method(sampling.chain, sampling.trajectory, config);
  }
  stop_before_start(context.comm);
  if (!config.method.sweeps) {
    release_signals();
    report.solve = nonlinear::find("sequential").make()->solve(sampling.chain, sampling.trajectory);
  } else {
    sample_by_sweeps(context, sampling, report);
  }
  const nonlinear::Status status = report.solve.status;
  if (status == nonlinear::Status::converged || status == nonlinear::Status::fell_back) {
    write_results(context, config, networks, sampling);
    if (config.verify) verify(context, sampling, report);
    report.quality = compare(others, sampling.latents());
  }
  report.peak_bytes_per_rank = context.comm.max(static_cast<Index>(peak_resident_bytes()));
  return finish(report, context);
}

}  // namespace deeppcr::app
