#pragma once

#include <cstdint>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/view.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/models/noise_schedule.hpp"

namespace deeppcr::models {

/// Sizes of a denoiser.
struct DenoiserShape {
  int latent = 32;       ///< n, numbers in a latent
  int hidden = 256;      ///< H
  int blocks = 4;        ///< K residual blocks
  int frequencies = 32;  ///< of the time embedding: so many sines and as many cosines
  int classes = 0;       ///< > 0: class-conditional
};

/// Predicts the noise in a noisy latent x at time t:
///
///     h_0 = W_in x + b_in + W_time s(t) + b_time (+ W_label e_label + b_label)
///     h_k = h_{k-1} + silu(W_k h_{k-1} + b_k),                              k = 1..K
///     eps = sqrt(1 - abar_t) x + W_out h_K + b_out
///
/// s(t) are sines and cosines (Vaswani et al., arXiv 1706.03762). The first term of eps is the best
/// linear guess for whitened latents: training starts there, and the network learns the rest.
class Denoiser {
 public:
  /// @throws Error for sizes without sense
  Denoiser(const DenoiserShape& shape, const NoiseSchedule& schedule, std::uint64_t seed);

  const DenoiserShape& shape() const { return shape_; }
  const NoiseSchedule& schedule() const { return schedule_; }

  /// All parameters in a row: input, time, label (where there are classes), blocks, output.
  View<Real, 1> parameters() { return {parameters_.data(), {parameters_.size()}}; }
  View<const Real, 1> parameters() const { return {parameters_.data(), {parameters_.size()}}; }

  const DenseShape& input_layer() const { return input_; }
  const DenseShape& time_layer() const { return time_; }
  const DenseShape& block_layer(int k) const { return blocks_[static_cast<std::size_t>(k)]; }
  const DenseShape& output_layer() const { return output_; }

  /// b_in + W_time s(t) + b_time: what time adds to h_0, [H].
  void time_offset(int t, Real* offset) const;
  /// W_label e_label + b_label, [H]; zero without classes.
  void label_offset(int label, Real* offset) const;
  /// sqrt(1 - abar_t)
  Real skip(int t) const;

  /// Noisy latents with what the denoiser should say of them.
  struct Samples {
    ConstState x;             ///< [N, n]
    std::vector<int> times;   ///< [N], 1..T
    std::vector<int> labels;  ///< [N] where there are classes
    ConstState noise;         ///< [N, n]
  };
  /// Mean square of eps - noise; its gradient by all parameters into `gradient` where that is not
  /// empty. Cost: 6 N K H^2 flops.
  double loss(const Samples& samples, View<Real, 1> gradient) const;

 private:
  struct Pass;
  void forward(const Samples& samples, Pass& pass) const;
  void backward(const Samples& samples, Pass& pass, Real* gradient) const;
  void time_features(int t, Real* features) const;

  DenoiserShape shape_;
  NoiseSchedule schedule_;
  DenseShape input_, time_, label_, output_;
  std::vector<DenseShape> blocks_;
  Buffer<Real> parameters_;
};

}  // namespace deeppcr::models
