#pragma once

#include <vector>

#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/train/noisy_latents.hpp"

namespace deeppcr::train {

/// Mean square error of a pixel over a set that the ranks share in equal parts. Collective.
double reconstruction_error(const parallel::Communicator& comm,
                            const models::Autoencoder& autoencoder, const Images& images);

/// How well noise is told from latents at times first..last.
struct NoiseBand {
  int first = 0, last = 0;
  double loss = 0;         ///< mean square of eps - noise
  double linear_loss = 0;  ///< the same for the best linear guess, eps = sqrt(1 - abar) x
};
/// In as many bands of equal numbers of times; each latent once in each, at a random time by a seed
/// of its own. Ranks share the latents in equal parts. Collective.
std::vector<NoiseBand> denoising_errors(const parallel::Communicator& comm,
                                        const models::Denoiser& denoiser,
                                        const LabelledLatents& latents, int bands);

}  // namespace deeppcr::train
