#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/models/autoencoder.hpp"
#include "deeppcr/models/denoiser.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::train {

/// Latents [N, n] of images with their labels, equal on all ranks.
struct LabelledLatents {
  Buffer<Real> values;
  std::vector<int> labels;
};
/// Those of a whole set, in pieces. Every rank does all.
LabelledLatents encode_all(const models::Autoencoder& autoencoder, const Images& images);

/// Latents at random times, mixed with as much noise as belongs to them, by numbers of random
/// streams.
class NoisyLatents {
 public:
  /// Denoiser and latents must outlive the object. @pre labels are below the denoiser's classes,
  /// where it has any
  NoisyLatents(const models::Denoiser& denoiser, const LabelledLatents& latents,
               std::uint64_t seed);

  /// Samples samples[0..count) at times from first_time to last_time, by the random numbers
  /// `first`.. of the seed. Valid until the next call.
  models::Denoiser::Samples make(const Index* samples, Index count, Index first, int first_time,
                                 int last_time);

 private:
  const models::Denoiser& denoiser_;
  const LabelledLatents& latents_;
  std::uint64_t seed_;
  Buffer<Real> x_, noise_;
};

}  // namespace deeppcr::train
