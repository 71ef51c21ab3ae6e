#include "deeppcr/models/mlp.hpp"

#include "initialise_chain.hpp"

namespace deeppcr::models {

Mlp::Mlp(const MlpOptions& options, const StepSet& local)
    : LayeredChain({options.width, 1, options.activation, options.bias}, options.steps, local) {
  initialise_chain(*this, options.init, options.gain, options.seed);
}

}  // namespace deeppcr::models
