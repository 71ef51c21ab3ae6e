#include "deeppcr/train/diffusion_training.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "deeppcr/core/profile.hpp"
#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::train {

namespace {

constexpr std::uint64_t kJitterStream = 0x4a4954544552;
constexpr std::uint64_t kTimeStream = 0x54494d45, kNoiseStream = 0x4e4f495345;
constexpr std::uint64_t kScoreSeed = 0x53434f5245;
constexpr Index kPiece = 1000;  ///< images at a time

/// Calls body(first, count, pixels [count, features]) for all images.
template <typename Body>
void in_pieces(const Images& images, Body&& body) {
  Buffer<Real> pixels(std::min(kPiece, images.count()) * images.features());
  std::vector<Index> samples(static_cast<std::size_t>(kPiece));
  for (Index first = 0; first < images.count(); first += kPiece) {
    const Index count = std::min(kPiece, images.count() - first);
    std::iota(samples.begin(), samples.end(), first);
    const State view(pixels.data(), {count, images.features()});
    images.fill(samples.data(), 0, {}, {}, view);
    body(first, count, ConstState(view));
  }
}

}  // namespace

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

StoredArray WholeNetwork::whole_array(const char* what, Index size, Real* values,
                                      const char* long_name) const {
  StoredArray array;
  array.name = std::string(name_) + "/" + what;
  array.row_size = size;
  array.own = {0, 1};
  array.values = values;
  array.long_name = long_name;
  return array;
}

std::vector<ParameterGroup> WholeNetwork::parameters() {
  return {{whole_array("trained", parameters_.size(), parameters_.data(),
                       "all parameters in a row, as they are trained"),
           gradient_.data()}};
}

std::vector<StoredArray> WholeNetwork::state() {
  return {whole_array("average", average_.size(), average_.data(),
                      "moving average of all parameters in a row")};
}

void WholeNetwork::follow(Index updates) {
  // A short memory at first, so that the start is forgotten soon.
  const double memory = std::min(
      memory_, (1.0 + static_cast<double>(updates)) / (10.0 + static_cast<double>(updates)));
  for (Index i = 0; i < average_.size(); ++i)
    average_[i] = memory * average_[i] + (1 - memory) * parameters_.data()[i];
}

StepOutcome WholeNetwork::differentiate(const MiniBatch& batch) {
  const Stopwatch watch;
  follow(batch.step);
  const parallel::Communicator& comm = grid_.data();
  const StepRange part =
      parallel::BlockLayout::balanced(batch.size, comm.size()).range(comm.rank());
  const double share = static_cast<double>(part.size()) / static_cast<double>(batch.size);
  StepOutcome outcome;
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
  const View<Real, 1> theta = finished_.parameters();
  std::vector<StoredArray> all = WholeNetwork::state();
  all.push_back(whole_array("parameters", theta.size(), theta.data(),
                            "averaged parameters with whitened latents, once training has ended"));
  all.push_back(whole_array("shape", static_cast<Index>(sizes_.size()), sizes_.data(),
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
  const Buffer<Real> latents = encode_all(finished_, images_);
  finished_.whiten({latents.data(), {images_.count(), model_.shape().latent}});
  sizes_.back() = 1;
  double error = 0;
  in_pieces(others, [&](Index, Index count, ConstState x) {
    error += finished_.loss(x, {}, 0, {}) * static_cast<double>(count);
  });
  return error / static_cast<double>(std::max<Index>(1, others.count()));
}

DenoiserTraining::DenoiserTraining(const parallel::ProcessGrid& grid, models::Denoiser& model,
                                   const Data& data, double memory, std::uint64_t seed)
    : WholeNetwork(grid, "denoiser", model.parameters(), memory),
      model_(model),
      data_(data),
      seed_(seed) {
  const models::DenoiserShape& shape = model.shape();
  const bool cosine = model.schedule().kind() == models::ScheduleKind::cosine;
  sizes_ = {Real(shape.latent),
            Real(shape.hidden),
            Real(shape.blocks),
            Real(shape.frequencies),
            Real(shape.classes),
            cosine ? 1.0 : 0.0,
            Real(model.schedule().steps())};
}

std::vector<StoredArray> DenoiserTraining::state() {
  return {whole_array("parameters", average_.size(), average_.data(),
                      "moving average of all parameters in a row"),
          whole_array(
              "shape", static_cast<Index>(sizes_.size()), sizes_.data(),
              "latent, hidden, blocks, frequencies, classes, 1 for the cosine schedule, times")};
}

models::Denoiser::Samples DenoiserTraining::noisy(const Data& data, const Index* samples,
                                                  Index count, Index first) {
  const Index n = model_.shape().latent;
  const models::NoiseSchedule& schedule = model_.schedule();
  x_.reserve(count * n);
  noise_.reserve(count * n);
  models::Denoiser::Samples made;
  made.x = {x_.data(), {count, n}};
  made.noise = {noise_.data(), {count, n}};
  const std::uint64_t seed = &data == &data_ ? seed_ : kScoreSeed;
  const RandomStream times(seed, kTimeStream);
  RandomStream(seed, kNoiseStream).normal(first * n, count * n, noise_.data());
  for (Index s = 0; s < count; ++s) {
    const int t = 1 + static_cast<int>(times.integer(first + s, schedule.steps()));
    const Real signal = std::sqrt(schedule.signal(t)), noise = std::sqrt(schedule.noise(t));
    const Real* latent = data.latents.data() + samples[s] * n;
    for (Index i = 0; i < n; ++i) x_[s * n + i] = signal * latent[i] + noise * noise_[s * n + i];
    made.times.push_back(t);
    if (model_.shape().classes > 0)
      made.labels.push_back(data.labels[static_cast<std::size_t>(samples[s])]);
  }
  return made;
}

double DenoiserTraining::loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) {
  return model_.loss(
      noisy(data_, batch.samples + part.first, part.size(), batch.step * batch.size + part.first),
      gradient);
}

double DenoiserTraining::score(const Data& others) {
  models::Denoiser averaged(model_.shape(), model_.schedule(), 0);
  std::copy(average_.begin(), average_.end(), averaged.parameters().begin());
  const Index count = others.latents.size() / model_.shape().latent;
  std::vector<Index> samples(static_cast<std::size_t>(kPiece));
  double sum = 0;
  for (Index first = 0; first < count; first += kPiece) {
    const Index some = std::min(kPiece, count - first);
    std::iota(samples.begin(), samples.end(), first);
    sum +=
        averaged.loss(noisy(others, samples.data(), some, first), {}) * static_cast<double>(some);
  }
  return sum / static_cast<double>(std::max<Index>(1, count));
}

Buffer<Real> encode_all(const models::Autoencoder& autoencoder, const Images& images) {
  const Index n = autoencoder.shape().latent;
  Buffer<Real> latents(images.count() * n);
  in_pieces(images, [&](Index first, Index count, ConstState x) {
    autoencoder.encode(x, {latents.data() + first * n, {count, n}});
  });
  return latents;
}

}  // namespace deeppcr::train
