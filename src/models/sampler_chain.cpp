#include "deeppcr/models/sampler_chain.hpp"

#include <algorithm>

#include "deeppcr/core/buffer.hpp"

namespace deeppcr::models {

Index SamplerChain::fill_guess(States states, Index coarse_steps) const {
  const Index L = num_steps(), S = states.extent(1), n = states.extent(2);
  Buffer<Real> values(S * n), zeros(S * n);
  const State value(values.data(), {S, n}), drift(zeros.data(), {S, n});
  const Index K = std::max<Index>(1, coarse_steps);
  for (Index k = 0; k < K; ++k) {
    const Index first = k * L / K, last = (k + 1) * L / K;
    const ConstState z = states[first];
    if (coarse_steps > 0) {
      this->value({first, first + 1}, {z.data(), {1, S, n}}, {value.data(), {1, S, n}});
      this->drift(first, z, value, drift);
    }
    extrapolate({first, last}, z, drift, states.slice(first + 1, last + 1));
  }
  return coarse_steps;
}

}  // namespace deeppcr::models
