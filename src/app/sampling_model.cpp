#include "app/sampling_model.hpp"

#include <cmath>

#include "app/files.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/io/checkpoint.hpp"
#include "deeppcr/models/autoencoder.hpp"
#include "deeppcr/models/denoising_chain.hpp"

namespace deeppcr::app {
namespace {

/// A denoiser of latents that was trained here, and the autoencoder that they belong to.
class OwnPair final : public SamplingModel {
 public:
  OwnPair(const parallel::Communicator& comm, const GenerateConfig& config)
      : denoiser_(read_denoiser(comm, config.denoiser)),
        autoencoder_(read_autoencoder(comm, config.autoencoder)),
        options_(config.sampler),
        batch_(config.run.chain.batch),
        name_(config.autoencoder) {
    const int n = denoiser_.shape().latent, m = autoencoder_.shape().latent;
    if (n != m) {
      throw input_error("{} denoises latents of {} numbers, but {} makes latents of {}",
                        config.denoiser, n, config.autoencoder, m);
    }
    options_.labels = labels_of(config, denoiser_.shape().classes);
  }

  int sample_width() const override { return denoiser_.shape().latent; }
  int state_width() const override { return sample_width(); }
  std::unique_ptr<models::SamplerChain> make_chain() const override {
    return std::make_unique<models::DenoisingChain>(denoiser_, options_, batch_);
  }
  Index checksum() const override {
    const auto parameters = denoiser_.parameters();
    return io::checksum(parameters.data(), parameters.size());
  }
  bool is_single() const override {
    return options_.precision == models::NetworkPrecision::float32;
  }
  std::string about() const override {
    return fmt::format("eta {:g}, network in {}", options_.eta,
                       is_single() ? "float32" : "float64");
  }

  ImageShape image_shape() const override { return square_or_row(autoencoder_.shape().pixels); }
  void decode(ConstState samples, State pictures) const override {
    autoencoder_.decode(samples, pictures);
  }
  void encode(const std::string& given, ConstState pictures, State samples) const override {
    if (pictures.extent(1) != autoencoder_.shape().pixels) {
      throw input_error("{}: its images have {} pixels, the autoencoder's of {} have {}", given,
                        pictures.extent(1), name_, autoencoder_.shape().pixels);
    }
    autoencoder_.encode(pictures, samples);
  }

 private:
  models::Denoiser denoiser_;
  models::Autoencoder autoencoder_;
  models::SamplerOptions options_;
  Index batch_;
  std::string name_;  ///< of the autoencoder's file
};

}  // namespace

ImageShape square_or_row(Index pixels) {
  const auto side = static_cast<Index>(std::lround(std::sqrt(pixels)));
  return side * side == pixels ? ImageShape{1, side, side} : ImageShape{1, 1, pixels};
}

std::vector<int> labels_of(const GenerateConfig& config, int classes) {
  if (classes == 0 && config.label >= 0)
    throw input_error("--class {}: this denoiser has no classes; leave it out", config.label);
  std::vector<int> labels;
  for (Index b = 0; b < config.run.chain.batch && classes > 0; ++b)
    labels.push_back(config.label >= 0 ? config.label : static_cast<int>(b % classes));
  return labels;
}

std::unique_ptr<SamplingModel> read_sampling_model(const parallel::Communicator& comm,
                                                   GenerateConfig& config) {
  if (!config.published.sampler_config.empty()) return read_published_model(comm, config);
  return std::make_unique<OwnPair>(comm, config);
}

}  // namespace deeppcr::app
