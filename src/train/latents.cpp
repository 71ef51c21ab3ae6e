#include <algorithm>
#include <cmath>
#include <numeric>

#include "deeppcr/core/random.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/train/diffusion_training.hpp"

namespace deeppcr::train {

namespace {

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

}  // namespace deeppcr::train
