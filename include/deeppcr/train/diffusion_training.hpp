#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/models/autoencoder.hpp"
#include "deeppcr/models/denoiser.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/images.hpp"
#include "deeppcr/train/trainable.hpp"

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

/// A network that every rank holds whole: samples are split over the data axis, gradients summed.
/// Keeps an exponential moving average of the parameters, which is what is used in the end.
class WholeNetwork : public Trainable {
 public:
  /// memory: of the average, after as many updates as it takes to forget the start.
  /// The grid and the parameters must outlive the object.
  WholeNetwork(const parallel::ProcessGrid& grid, const char* name, View<Real, 1> parameters,
               double memory);

  std::vector<ParameterGroup> parameters() override;
  /// NAME/average, the moving average.
  std::vector<StoredArray> state() override;
  std::vector<std::string> stages() const override { return {"gradient"}; }
  StepOutcome differentiate(const MiniBatch& batch) final;

 protected:
  /// Mean loss of the samples [first, last) of a batch, and its gradient.
  virtual double loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) = 0;
  StoredArray whole_array(const char* what, View<Real, 1> values, const char* long_name) const;

  const parallel::ProcessGrid& grid_;
  const char* name_;
  View<Real, 1> parameters_;
  double memory_;
  Buffer<Real> average_, gradient_;
};

/// Autoencoder on images with pixels in [0, 1]. In the end its latents are whitened.
class AutoencoderTraining final : public WholeNetwork {
 public:
  struct Options {
    double jitter = 0.1;   ///< deviation of the noise on latents
    double shrink = 1e-3;  ///< weight of the latents' mean square
    double memory = 0.999;
    std::uint64_t seed = 1;
  };
  /// Model and images must outlive the object.
  AutoencoderTraining(const parallel::ProcessGrid& grid, models::Autoencoder& model,
                      const Images& images, const Options& options);

  /// NAME/average, NAME/parameters (whitened; from finish() on) and NAME/shape.
  std::vector<StoredArray> state() override;
  /// The averaged and whitened network becomes NAME/parameters; returns the mean square error on
  /// other images. Cost: one pass over all images.
  double finish(const Images& others);

 private:
  double loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) override;

  models::Autoencoder& model_;
  const Images& images_;
  Options options_;
  Buffer<Real> pixels_, jitter_;
  models::Autoencoder finished_;
  std::vector<Real> sizes_;  ///< pixels, latent, hidden, hidden layers, 1 when finished
};

/// Denoiser on given latents.
class DenoiserTraining final : public WholeNetwork {
 public:
  /// Model and latents must outlive the object. @pre labels are below the model's classes, where
  /// it has any
  DenoiserTraining(const parallel::ProcessGrid& grid, models::Denoiser& model,
                   const LabelledLatents& latents, double memory, std::uint64_t seed);

  /// NAME/parameters (the average) and NAME/shape.
  std::vector<StoredArray> state() override;
  /// Mean loss of the averaged network on other latents, each at one random time.
  double score(const LabelledLatents& others);

 private:
  double loss(const MiniBatch& batch, StepRange part, View<Real, 1> gradient) override;

  models::Denoiser& model_;
  NoisyLatents noisy_;
  std::vector<Real> sizes_;  ///< latent, hidden, blocks, frequencies, classes, cosine, times
};

/// Mean square error of a pixel over a set that the ranks share in equal parts. Collective.
double reconstruction_error(const parallel::Communicator& comm,
                            const models::Autoencoder& autoencoder, const Images& images);

/// How well noise is predicted at times first..last.
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
