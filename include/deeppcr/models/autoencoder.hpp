#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/models/dense_layer.hpp"

namespace deeppcr::models {

struct AutoencoderShape {
  int pixels = 784;
  int latent = 32;        ///< n
  int hidden = 256;       ///< H
  int hidden_layers = 2;  ///< in each half
};

/// Images to latents and back, each by a perceptron with silu between its layers.
class Autoencoder {
 public:
  /// @throws Error for sizes without sense
  Autoencoder(const AutoencoderShape& shape, std::uint64_t seed);

  const AutoencoderShape& shape() const { return shape_; }
  /// All parameters in a row: the encoder's layers, then the decoder's.
  View<Real, 1> parameters() { return {parameters_.data(), {parameters_.size()}}; }
  View<const Real, 1> parameters() const { return {parameters_.data(), {parameters_.size()}}; }

  /// Shapes: images [B, pixels] in [0, 1], latents [B, n].
  void encode(ConstState images, State latents) const;
  void decode(ConstState latents, State images) const;

  /// Mean square of decode(encode(images) + jitter) - images, plus `shrink` times the mean square
  /// of the latents; its gradient by all parameters into `gradient` where that is not empty.
  /// `jitter` [B, n] is noise on the latents, which keeps the decoder smooth; may be empty.
  double loss(ConstState images, ConstState jitter, double shrink, View<Real, 1> gradient) const;

  /// Changes the last layer of the encoder and the first of the decoder so that these latents, [N,
  /// n], get mean 0 and covariance I; images stay what they are.
  /// @throws Error when the covariance is singular
  void whiten(ConstState latents);

 private:
  using Layers = std::vector<DenseShape>;
  struct Pass;
  void run(const Layers& layers, ConstState in, State out) const;
  void forward(const Layers& layers, ConstState in, Pass& pass) const;
  /// From d loss / d (output of the layers), the parts of `gradient`, and input_gradient.
  void backward(const Layers& layers, ConstState in, Pass& pass, ConstState g, Real* gradient,
                State input_gradient) const;

  AutoencoderShape shape_;
  Layers encoder_, decoder_;
  Buffer<Real> parameters_;
};

}  // namespace deeppcr::models
