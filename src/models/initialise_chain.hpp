#pragma once

#include <cstdint>

#include "models/initialisation.hpp"
#include "models/layered_chain.hpp"

namespace deeppcr::models {

/// Fills the parameters of a chain's local steps.
inline void initialise_chain(LayeredChain& chain, Initialisation kind, double gain,
                             std::uint64_t seed) {
  const StepShape& shape = chain.shape();
  const StepSet local = chain.local_steps();
  for (Index row = 0; row < local.size(); ++row) {
    const Index l = local.step(row);
    Real* theta = chain.rows()[row].data();
    for (int j = 0; j < shape.layers; ++j) {
      const LayerKey key{seed, l, j};
      initialise_weights(kind, gain, key, shape.width, theta + shape.weight_offset(j));
      if (shape.bias) initialise_bias(kind, key, shape.width, theta + shape.bias_offset(j));
    }
  }
}

}  // namespace deeppcr::models
