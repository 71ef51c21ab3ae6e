#pragma once

#include <memory>

#include "app/generate.hpp"
#include "deeppcr/models/sampler_chain.hpp"

namespace deeppcr::app {

/// Of a picture: one channel is grey, three are colours.
struct ImageShape {
  Index channels = 1, height = 1, width = 1;
  Index numbers() const { return channels * height * width; }
};

/// Of pixels without a shape: a grey square where there is one, else a row.
ImageShape square_or_row(Index pixels);

/// What generation samples from: trained networks with a sampler, equal on all ranks.
class SamplingModel {
 public:
  virtual ~SamplingModel() = default;

  /// Numbers n in a sample, and in a state of the chain.
  virtual int sample_width() const = 0;
  virtual int state_width() const = 0;
  /// The sampler's steps, which borrow from here.
  virtual std::unique_ptr<models::SamplerChain> make_chain() const = 0;
  /// Of networks, sampler and conditions: a run that goes on must have the same.
  virtual Index checksum() const = 0;
  /// Whether its networks compute in float32.
  virtual bool is_single() const = 0;
  /// One line for the report.
  virtual std::string about() const = 0;

  virtual ImageShape image_shape() const = 0;
  /// Samples [S, n] as pictures [S, pixels], 0 black and 1 white.
  virtual void decode(ConstState samples, State pictures) const = 0;
  /// Pictures as samples, to compare with data. @throws Error that begins with `given` where there
  /// is no way
  virtual void encode(const std::string& given, ConstState pictures, State samples) const = 0;
};

/// The networks that the options name: an own denoiser with its autoencoder, or a published one.
/// Sets what follows from them: steps, labels. Collective.
std::unique_ptr<SamplingModel> read_sampling_model(const parallel::Communicator& comm,
                                                   GenerateConfig& config);
/// A module of PyTorch with the sampler of its configuration file. Collective.
std::unique_ptr<SamplingModel> read_published_model(const parallel::Communicator& comm,
                                                    GenerateConfig& config);

/// The class of each sample: --class, or one after another.
std::vector<int> labels_of(const GenerateConfig& config, int classes);

}  // namespace deeppcr::app
