#include "models/resnet.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/options.hpp"
#include "models/layer_options.hpp"
#include "models/normalised_resnet.hpp"

namespace deeppcr::models {

namespace {

const Words<ResidualScale> kScales{"residual scale", {"none", "1/sqrt(L)", "1/L"}};

}  // namespace

Real factor(ResidualScale scale, Index num_steps) {
  const auto L = static_cast<Real>(std::max<Index>(num_steps, 1));
  if (scale == ResidualScale::none) return 1;
  return scale == ResidualScale::inverse ? 1 / L : 1 / std::sqrt(L);
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

ResNetOptions resnet_options(const ModelOptions& options) {
  const LayerChoice layers = layer_choice(options.own);
  return {options.steps,
          options.width,
          static_cast<int>(options.own.whole("block-layers")),
          layers.activation,
          residual_scale_from(options.own.word("residual-scale")),
          layers.init,
          layers.gain,
          layers.bias,
          options.seed};
}

std::unique_ptr<sequence::Sequence> make_resnet(const ModelOptions& options, const StepSet& local) {
  const ResNetOptions resnet = resnet_options(options);
  if (options.own.flag("layer-norm")) return std::make_unique<NormalisedResNet>(resnet, local);
  return std::make_unique<ResNet>(resnet, local);
}

StepCost resnet_cost(const ModelOptions& options) {
  return cost_of(step_shape(resnet_options(options)));
}

void adopt_blocks(ModelOptions& options, const StoredLayers& stored) {
  const char* option = "block-layers";
  if (options.own.given(option) && options.own.whole(option) != stored.per_step) {
    throw input_error("--{} {}: {} has {}; leave the option out", option, options.own.whole(option),
                      stored.file, stored.per_step);
  }
  options.set(option, static_cast<double>(stored.per_step));
  adopt_layers(options, stored);
}

}  // namespace

ResNet::ResNet(const ResNetOptions& options, const StepSet& local)
    : LayeredChain(step_shape(options), options.steps, local) {
  initialise_chain(*this, options.init, options.gain, options.seed);
}

CatalogueEntry resnet_entry() {
  CatalogueEntry entry;
  entry.name = "resnet";
  entry.help = "residual network: z + h g(z), g = block layers of sigma(W x + b)";
  entry.options = layer_options();
  entry.options.push_back(whole_option("block-layers", 2, 1, 1000, "layers in a block"));
  entry.options.push_back(word_option("residual-scale", "1/sqrt(L)", {"none", "1/sqrt(L)", "1/L"},
                                      "factor on a block: none, 1/sqrt(L), 1/L"));
  entry.options.push_back(flag_option("layer-norm", "normalise the state that a block sees"));
  entry.make = make_resnet;
  entry.cost = resnet_cost;
  entry.weights = WeightsFile{
      true, "block-layers", {"activation", "residual-scale", "layer-norm"}, adopt_blocks};
  entry.coarse_chain = true;
  return entry;
}

const char* name(ResidualScale scale) { return kScales.of(scale); }

ResidualScale residual_scale_from(const std::string& name) { return kScales.find(name); }

}  // namespace deeppcr::models
