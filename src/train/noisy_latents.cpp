#include "deeppcr/train/noisy_latents.hpp"

#include <cmath>

#include "deeppcr/core/random.hpp"
#include "train/image_pieces.hpp"

namespace deeppcr::train {

namespace {

constexpr std::uint64_t kTimeStream = 0x54494d45, kNoiseStream = 0x4e4f495345;

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

}  // namespace deeppcr::train
