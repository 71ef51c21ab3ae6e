#include "models/layer_options.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "models/tight_steps.hpp"

namespace deeppcr::models {

namespace {

/// Measured; by the kernel that pushes the tangent.
double tangent_share(const StepShape& shape) {
  constexpr int kNarrow = 16, kNear = 48;
  if (shape.layers > 1 || !shape.bias) return StepCost{}.tangent_share;
  const TightKernels kernels = tight_kernels(shape, blocks::BlocksFrom::cache);
  if (kernels.run == nullptr) return shape.width < kNear ? 0.3 : 0.12;
  const double product = shape.width <= kNarrow ? 0.07 : kernels.one_pass ? 0.03 : 0.2;
  if (shape.activation != Activation::gelu) return product;
  // Its slope needs an exponential.
  const double narrower = std::min(1.0, double{kNarrow} / shape.width);
  return product + 0.12 * narrower * narrower;
}

}  // namespace

std::vector<OptionSpec> layer_options() {
  return {
      word_option("activation", "tanh", {"identity", "tanh", "relu", "silu", "gelu"},
                  "identity, tanh, relu, silu, gelu"),
      word_option("init", "default", {"default", "xavier", "he", "orthogonal", "zero"},
                  "first weights: default (uniform, 1/sqrt(n)), xavier, he, orthogonal, zero"),
      real_option("gain", "1", -1e6, 1e6, "factor on the first weights"),
      flag_option("no-bias", "layers without bias"),
  };
}

LayerChoice layer_choice(const OptionValues& own) {
  return {activation_from(own.word("activation")), initialisation_from(own.word("init")),
          own.real("gain"), !own.flag("no-bias")};
}

StepCost cost_of(const StepShape& shape) {
  StepCost cost;
  cost.layers = shape.layers;
  cost.parameters = static_cast<double>(shape.parameters());
  cost.flops = 2.0 * shape.layers * shape.width * shape.width;
  cost.tangent_share = tangent_share(shape);
  return cost;
}

void adopt_layers(ModelOptions& options, const StoredLayers& stored) {
  if (stored.bias && options.own.flag("no-bias"))
    throw input_error("--no-bias: {} has a bias; leave the option out", stored.file);
  options.set("no-bias", "false").set("init", "zero");
}

}  // namespace deeppcr::models
