#pragma once

#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::models {

/// The steps of a diffusion sampler as a chain, from noise to samples, which are the output()
/// columns of its last state. Noise that its steps add is their input; it is drawn by (seed,
/// sample, step).
///
/// Every rank holds all steps: they share one network, and a range of them is one batch.
class SamplerChain : public sequence::Sequence {
 public:
  virtual Index batch() const = 0;
  /// The state that sampling starts from, [B, width()], by (seed, sample).
  virtual void start(State z) const = 0;

  /// States 1..L from z_0 = states[0] by few evaluations one after another, whose number is
  /// returned: the drift of every (L / coarse_steps)-th step stands for those up to the next. 0
  /// steps: as if there were no drift.
  Index fill_guess(States states, Index coarse_steps = 0) const;
};

}  // namespace deeppcr::models
