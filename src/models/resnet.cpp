#include "deeppcr/models/resnet.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "initialise_chain.hpp"

namespace deeppcr::models {

Real factor(ResidualScale scale, Index num_steps) {
  const auto L = static_cast<Real>(std::max<Index>(num_steps, 1));
  switch (scale) {
    case ResidualScale::inverse_sqrt:
      return 1 / std::sqrt(L);
    case ResidualScale::inverse:
      return 1 / L;
    case ResidualScale::none:
      break;
  }
  return 1;
}

namespace {

StepShape step_shape(const ResNetOptions& options) {
  return {options.width,
          options.block_layers,
          options.activation,
          options.bias,
          true,
          factor(options.scale, options.steps)};
}

}  // namespace

ResNet::ResNet(const ResNetOptions& options, const StepSet& local)
    : LayeredChain(step_shape(options), options.steps, local) {
  initialise_chain(*this, options.init, options.gain, options.seed);
}

const char* name(ResidualScale scale) {
  switch (scale) {
    case ResidualScale::inverse_sqrt:
      return "1/sqrt(L)";
    case ResidualScale::inverse:
      return "1/L";
    case ResidualScale::none:
      break;
  }
  return "none";
}

ResidualScale residual_scale_from(const std::string& name) {
  for (const auto scale :
       {ResidualScale::none, ResidualScale::inverse_sqrt, ResidualScale::inverse}) {
    if (name == models::name(scale)) return scale;
  }
  throw input_error("unknown residual scale '{}': known are none, 1/sqrt(L), 1/L", name);
}

}  // namespace deeppcr::models
