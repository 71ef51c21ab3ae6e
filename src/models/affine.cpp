#include "deeppcr/models/affine.hpp"

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/initialisation.hpp"

namespace deeppcr::models {

namespace {
constexpr std::uint64_t kOffsetStream = 0x4f4646534554;
}

Affine::Affine(const AffineOptions& options, const StepSet& local)
    : LayeredChain({options.width}, options.steps, local) {
  const int n = options.width;
  const RandomStream offsets(options.seed, kOffsetStream);
  for (Index row = 0; row < local.size(); ++row) {
    const Index l = local.step(row);
    Real* theta = rows()[row].data();
    initialise_weights(Initialisation::orthogonal, options.contraction, {options.seed, l, 0}, n,
                       theta);
    offsets.normal(l * n, n, theta + shape().bias_offset(0));
  }
}

}  // namespace deeppcr::models
