#include "deeppcr/train/diffusion_training.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::train {

namespace {

constexpr std::uint64_t kJitterStream = 0x4a4954544552;
constexpr std::uint64_t kTimeStream = 0x54494d45, kNoiseStream = 0x4e4f495345;
constexpr std::uint64_t kScoreSeed = 0x53434f5245;
constexpr Index kPiece = 1000;  ///< samples at a time

/// Calls body(samples [count], first, count) for the numbers of a range.
template <typename Body>
void in_pieces(StepRange range, Body&& body) {
  std::vector<Index> samples(static_cast<std::size_t>(kPiece));
  for (Index first = range.first; first < range.last; first += kPiece) {
    const Index count = std::min(kPiece, range.last - first);
    std::iota(samples.begin(), samples.end(), first);
    body(samples.data(), first, count);
  }
}

/// Calls body(first, pixels [count, features]) for the images of a range, as they are.
template <typename Body>
void in_pieces(const Images& images, StepRange range, Body&& body) {
  Buffer<Real> pixels(std::min(kPiece, range.size()) * images.features());
  in_pieces(range, [&](const Index* samples, Index first, Index count) {
    const State view(pixels.data(), {count, images.features()});
    images.fill(samples, 0, {}, {}, view);
    body(first, ConstState(view));
  });
}

StepRange own_part(const parallel::Communicator& comm, Index count) {
  return parallel::BlockLayout::balanced(count, comm.size()).range(comm.rank());
}

/// Sum over the samples of the mean square of skip(t) x - noise.
double linear_loss(const models::Denoiser& denoiser, const models::Denoiser::Samples& samples) {
  const Index n = samples.x.extent(1);
  double sum = 0;
  for (Index s = 0; s < samples.x.extent(0); ++s) {
    const Real g = denoiser.skip(samples.times[static_cast<std::size_t>(s)]);
    for (Index i = 0; i < n; ++i) {
      const Real difference = g * samples.x(s, i) - samples.noise(s, i);
      sum += difference * difference;
    }
  }
  return sum / static_cast<double>(n);
}

}  // namespace

LabelledLatents encode_all(const models::Autoencoder& autoencoder, const Images& images) {
  const Index n = autoencoder.shape().latent;
  LabelledLatents latents{Buffer<Real>(images.count() * n), {}};
  in_pieces(images, {0, images.count()}, [&](Index first, ConstState x) {
    autoencoder.encode(x, {latents.values.data() + first * n, {x.extent(0), n}});
  });
  for (Index s = 0; s < images.count(); ++s) latents.labels.push_back(images.label(s));
  return latents;
}

NoisyLatents::NoisyLatents(const models::Denoiser& denoiser, const LabelledLatents& latents,
                           std::uint64_t seed)
    : denoiser_(denoiser), latents_(latents), seed_(seed) {}

models::Denoiser::Samples NoisyLatents::make(const Index* samples, Index count, Index first,
                                             int first_time, int last_time) {
  const Index n = denoiser_.shape().latent;
  const models::NoiseSchedule& schedule = denoiser_.schedule();
  x_.reserve(count * n);
  noise_.reserve(count * n);
  models::Denoiser::Samples made;
  made.x = {x_.data(), {count, n}};
  made.noise = {noise_.data(), {count, n}};
  const RandomStream times(seed_, kTimeStream);
  RandomStream(seed_, kNoiseStream).normal(first * n, count * n, noise_.data());
  for (Index s = 0; s < count; ++s) {
    const auto beyond = times.integer(first + s, last_time - first_time + 1);
    const int t = first_time + static_cast<int>(beyond);
    const Real signal = std::sqrt(schedule.signal(t)), noise = std::sqrt(schedule.noise(t));
    const Real* latent = latents_.values.data() + samples[s] * n;
    for (Index i = 0; i < n; ++i) x_[s * n + i] = signal * latent[i] + noise * noise_[s * n + i];
    made.times.push_back(t);
    if (denoiser_.shape().classes > 0)
      made.labels.push_back(latents_.labels[static_cast<std::size_t>(samples[s])]);
  }
  return made;
}

double reconstruction_error(const parallel::Communicator& comm,
                            const models::Autoencoder& autoencoder, const Images& images) {
  double sum = 0;
  in_pieces(images, own_part(comm, images.count()), [&](Index, ConstState x) {
    sum += autoencoder.loss(x, {}, 0, {}) * static_cast<double>(x.extent(0));
  });
  return comm.sum(sum) / static_cast<double>(std::max<Index>(1, images.count()));
}

std::vector<NoiseBand> denoising_errors(const parallel::Communicator& comm,
                                        const models::Denoiser& denoiser,
                                        const LabelledLatents& latents, int bands) {
  const Index count = latents.values.size() / denoiser.shape().latent;
  const auto all = static_cast<double>(std::max<Index>(1, count));
  const int T = denoiser.schedule().steps();
  const parallel::BlockLayout times = parallel::BlockLayout::balanced(T, std::min(bands, T));
  NoisyLatents noisy(denoiser, latents, kScoreSeed);
  std::vector<NoiseBand> found;
  for (int k = 0; k < times.num_ranks(); ++k) {
    NoiseBand band;
    band.first = 1 + static_cast<int>(times.range(k).first);
    band.last = static_cast<int>(times.range(k).last);
    in_pieces(own_part(comm, count), [&](const Index* samples, Index first, Index some) {
      const auto made = noisy.make(samples, some, k * count + first, band.first, band.last);
      band.loss += denoiser.loss(made, {}) * static_cast<double>(some);
      band.linear_loss += linear_loss(denoiser, made);
    });
    band.loss = comm.sum(band.loss) / all;
    band.linear_loss = comm.sum(band.linear_loss) / all;
    found.push_back(band);
  }
  return found;
}

WholeNetwork::WholeNetwork(const parallel::ProcessGrid& grid, const char* name,
                           View<Real, 1> parameters, double memory)
    : grid_(grid),
      name_(name),
      parameters_(parameters),
      memory_(memory),
      average_(parameters.size()),
      gradient_(parameters.size()) {
  std::copy(parameters.begin(), parameters.end(), average_.begin());
}

StoredArray WholeNetwork::whole_array(const char* what, View<Real, 1> values,
                                      const char* long_name) const {
  return {std::string(name_) + "/" + what, 1, values.size(), {0, 1}, values.data(), long_name};
}

std::vector<ParameterGroup> WholeNetwork::parameters() {
  return {{whole_array("trained", parameters_, "all parameters in a row, as they are trained"),
           gradient_.data()}};
}

std::vector<StoredArray> WholeNetwork::state() {
  return {whole_array("average", {average_.data(), {average_.size()}},
                      "moving average of all parameters in a row")};
}

StepOutcome WholeNetwork::differentiate(const MiniBatch& batch) {
  DEEPPCR_ASSERT(!batch.own_gradients, "local steps of {}, whose average is one of all ranks",
                 name_);
  const Stopwatch watch;
  // The average of what there was before. A short memory at first, so that the start is forgotten
  // soon.
  const auto updates = static_cast<double>(batch.step);
  const double memory = std::min(memory_, (1.0 + updates) / (10.0 + updates));
  for (Index i = 0; i < average_.size(); ++i)
    average_[i] = memory * average_[i] + (1 - memory) * parameters_.data()[i];
  const parallel::Communicator& comm = grid_.data();
  const StepRange part =
      parallel::BlockLayout::balanced(batch.size, comm.size()).range(comm.rank());
  const double share = static_cast<double>(part.size()) / static_cast<double>(batch.size);
  StepOutcome outcome;
  outcome.accuracy = std::numeric_limits<double>::quiet_NaN();
  std::fill(gradient_.begin(), gradient_.end(), Real{0});
  if (!part.empty())
    outcome.loss = share * loss(batch, part, {gradient_.data(), {gradient_.size()}});
  for (Real& value : gradient_) value *= share;
  outcome.loss = comm.sum(outcome.loss);
  comm.sum(gradient_.data(), gradient_.size());
  outcome.seconds["gradient"] = comm.max(watch.seconds());
  return outcome;
}

AutoencoderTraining::AutoencoderTraining(const parallel::ProcessGrid& grid,
                                         models::Autoencoder& model, const Images& images,
                                         const Options& options)
    : WholeNetwork(grid, "autoencoder", model.parameters(), options.memory),
      model_(model),
      images_(images),
      options_(options),
      finished_(model.shape(), options.seed) {
  const models::AutoencoderShape& shape = model.shape();
  sizes_ = {Real(shape.pixels), Real(shape.latent), Real(shape.hidden), Real(shape.hidden_layers),
            0};
}

std::vector<StoredArray> AutoencoderTraining::state() {
  std::vector<StoredArray> all = WholeNetwork::state();
  all.push_back(whole_array("parameters", finished_.parameters(),
                            "averaged parameters with whitened latents, once training has ended"));
  all.push_back(whole_array("shape", {sizes_.data(), {static_cast<Index>(sizes_.size())}},
                            "pixels, latent, hidden, hidden layers, 1 when training has ended"));
  return all;
}

double AutoencoderTraining::loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) {
  const Index n = model_.shape().latent;
  pixels_.reserve(part.size() * images_.features());
  jitter_.reserve(part.size() * n);
  const State x(pixels_.data(), {part.size(), images_.features()});
  const State jitter(jitter_.data(), {part.size(), n});
  images_.fill(batch.samples + part.first, batch.epoch, {}, {}, x);
  RandomStream(options_.seed, kJitterStream)
      .normal((batch.step * batch.size + part.first) * n, jitter.size(), jitter.data());
  for (Real& value : jitter) value *= options_.jitter;
  return model_.loss(x, jitter, options_.shrink, gradient);
}

double AutoencoderTraining::finish(const Images& others) {
  std::copy(average_.begin(), average_.end(), finished_.parameters().begin());
  const LabelledLatents latents = encode_all(finished_, images_);
  finished_.whiten({latents.values.data(), {images_.count(), model_.shape().latent}});
  sizes_.back() = 1;
  return reconstruction_error(grid_.data(), finished_, others);
}

DenoiserTraining::DenoiserTraining(const parallel::ProcessGrid& grid, models::Denoiser& model,
                                   const LabelledLatents& latents, double memory,
                                   std::uint64_t seed)
    : WholeNetwork(grid, "denoiser", model.parameters(), memory),
      model_(model),
      noisy_(model, latents, seed) {
  const models::DenoiserShape& shape = model.shape();
  const bool cosine = model.schedule().kind() == models::ScheduleKind::cosine;
  const int sizes[] = {shape.latent,
                       shape.hidden,
                       shape.blocks,
                       shape.frequencies,
                       shape.classes,
                       cosine ? 1 : 0,
                       model.schedule().steps()};
  sizes_.assign(std::begin(sizes), std::end(sizes));
}

std::vector<StoredArray> DenoiserTraining::state() {
  return {whole_array("parameters", {average_.data(), {average_.size()}},
                      "moving average of all parameters in a row"),
          whole_array(
              "shape", {sizes_.data(), {static_cast<Index>(sizes_.size())}},
              "latent, hidden, blocks, frequencies, classes, 1 for the cosine schedule, times")};
}

double DenoiserTraining::loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) {
  const Index first = batch.step * batch.size + part.first;
  return model_.loss(
      noisy_.make(batch.samples + part.first, part.size(), first, 1, model_.schedule().steps()),
      gradient);
}

double DenoiserTraining::score(const LabelledLatents& others) {
  models::Denoiser averaged(model_.shape(), model_.schedule(), 0);
  std::copy(average_.begin(), average_.end(), averaged.parameters().begin());
  return denoising_errors(grid_.data(), averaged, others, 1).front().loss;
}

}  // namespace deeppcr::train
