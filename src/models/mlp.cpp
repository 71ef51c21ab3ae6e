#include "models/mlp.hpp"

#include "deeppcr/core/error.hpp"
#include "models/layer_options.hpp"

namespace deeppcr::models {

namespace {

MlpOptions mlp_options(const ModelOptions& options) {
  const LayerChoice layers = layer_choice(options.own);
  return {options.steps, options.width, layers.activation, layers.init,
          layers.gain,   layers.bias,   options.seed};
}

StepShape step_shape(const MlpOptions& options) {
  return {options.width, 1, options.activation, options.bias};
}

void adopt_single_layers(ModelOptions& options, const StoredLayers& stored) {
  if (stored.per_step != 1) {
    throw input_error("{} has {} layers in a step, an mlp has one; use --model resnet", stored.file,
                      stored.per_step);
  }
  adopt_layers(options, stored);
}

}  // namespace

Mlp::Mlp(const MlpOptions& options, const StepSet& local)
    : LayeredChain(step_shape(options), options.steps, local) {
  initialise_chain(*this, options.init, options.gain, options.seed);
}

CatalogueEntry mlp_entry() {
  CatalogueEntry entry;
  entry.name = "mlp";
  entry.help = "multilayer perceptron: sigma(W z + b)";
  entry.options = layer_options();
  entry.make = [](const ModelOptions& options, const StepSet& local) {
    return std::make_unique<Mlp>(mlp_options(options), local);
  };
  entry.cost = [](const ModelOptions& options) {
    return cost_of(step_shape(mlp_options(options)));
  };
  entry.weights = WeightsFile{false, "", {"activation"}, adopt_single_layers};
  return entry;
}

}  // namespace deeppcr::models
