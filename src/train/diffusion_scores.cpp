#include "deeppcr/train/diffusion_scores.hpp"

#include "deeppcr/parallel/block_layout.hpp"
#include "train/image_pieces.hpp"

namespace deeppcr::train {

namespace {

constexpr std::uint64_t kScoreSeed = 0x53434f5245;

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
