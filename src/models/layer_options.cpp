#include "models/layer_options.hpp"

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

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

void initialise_chain(LayeredChain& chain, Initialisation kind, double gain, std::uint64_t seed) {
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

StepCost cost_of(const StepShape& shape) {
  StepCost cost;
  cost.layers = shape.layers;
  cost.parameters = static_cast<double>(shape.parameters());
  cost.flops = 2.0 * shape.layers * shape.width * shape.width;
  return cost;
}

void adopt_layers(ModelOptions& options, const StoredLayers& stored) {
  if (stored.bias && options.own.flag("no-bias"))
    throw input_error("--no-bias: {} has a bias; leave the option out", stored.file);
  options.set("no-bias", "false").set("init", "zero");
}

}  // namespace deeppcr::models
