#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "deeppcr/models/denoiser.hpp"
#include "deeppcr/models/noise_schedule.hpp"
#include "deeppcr/models/packed_denoiser.hpp"
#include "deeppcr/models/sampler_chain.hpp"

namespace deeppcr::models {

/// What the network is evaluated in; states and everything else stay in double.
enum class NetworkPrecision { float32, float64 };

struct SamplerOptions {
  int steps = 1000;
  double eta = 1;  ///< 0: DDIM; 1: DDPM
  NetworkPrecision precision = NetworkPrecision::float64;
  std::vector<int> labels = {};  ///< [B] for a class-conditional denoiser
  std::uint64_t seed = 1;
};

/// The sampler of a denoiser of latents: step l is z_{l+1} = a_l z_l + b_l eps(z_l, t_l) + c_l
/// xi_l. The noise c_l xi_l is the steps' input, [L, B, n].
///
/// Results do not depend on how steps are batched, to the last bit.
/// Source: DDPM, arXiv 2006.11239; DDIM, arXiv 2010.02502
class DenoisingChain : public SamplerChain {
 public:
  /// The denoiser must outlive the chain. @throws Error for steps or labels that it does not have
  DenoisingChain(const Denoiser& denoiser, const SamplerOptions& options, Index batch);

  Index num_steps() const override { return static_cast<Index>(steps_.size()); }
  int width() const override { return denoiser_.shape().latent; }
  Index batch() const override { return batch_; }

  void value(StepRange range, ConstStates in, States out) const override;
  std::unique_ptr<blocks::Linearisation> linearise(StepRange range, ConstStates in,
                                                   States out) const override;
  /// The noise; no numbers for eta = 0, where the labels still depend on the sample.
  int input_width() const override { return static_cast<int>(inputs_.values.extent(2)); }
  sequence::Inputs inputs() const override { return inputs_; }
  std::unique_ptr<sequence::Sequence> bound_to(const sequence::Inputs& inputs) const override;
  /// linear_part: a_l. gaussian: a_l + b_l sqrt(1 - abar), exact for whitened Gaussian latents.
  bool known_diagonals(sequence::KnownDiagonal which, StepRange range,
                       View<Real, 2> diagonals) const override;

  void start(State z) const override;
  /// The drift is eps(z, t) - sqrt(1 - abar) z, what the network adds to the best linear guess.
  bool drift(Index l, ConstState z, ConstState f, State drift) const override;
  void extrapolate(StepRange range, ConstState z, ConstState drift, States out) const override;

  const std::vector<SamplerStep>& steps() const { return steps_; }

 private:
  /// The state after step l if the latents were Gaussian: no evaluation.
  void gaussian_step(Index l, ConstState z, Real* out) const;
  /// eps -> a z + b eps + c xi, in place.
  void finish(StepRange range, ConstStates z, States eps) const;
  void check_samples(ConstStates in) const;

  const Denoiser& denoiser_;
  Index batch_;
  std::uint64_t seed_;
  std::vector<SamplerStep> steps_;
  sequence::Inputs inputs_;
  // What views for other inputs share:
  std::shared_ptr<const Buffer<Real>> drawn_;            ///< the first inputs
  std::shared_ptr<const PackedDenoiser<float>> single_;  ///< one of the two
  std::shared_ptr<const PackedDenoiser<double>> double_;
};

}  // namespace deeppcr::models
