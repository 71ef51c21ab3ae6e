// The models whose chain is a LayeredChain: they differ in shape and first weights.
#include "models/layered_models.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"
#include "models/layered_chain.hpp"
#include "models/normalised_resnet.hpp"

namespace deeppcr::models {

namespace {

constexpr std::uint64_t kOffsetStream = 0x4f4646534554;

/// --activation, --init, --gain and --no-bias, which models of fully connected layers share.
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

StepShape mlp_shape(const ModelOptions& options) {
  return {options.width, 1, activation_from(options.own.word("activation")),
          !options.own.flag("no-bias")};
}

/// The factor h of a residual step z + h g(z), for a chain of so many steps.
Real residual_scale(const std::string& word, Index steps) {
  const auto L = static_cast<Real>(std::max<Index>(steps, 1));
  if (word == "none") return 1;
  return word == "1/L" ? 1 / L : 1 / std::sqrt(L);
}

StepShape resnet_shape(const ModelOptions& options) {
  StepShape shape = mlp_shape(options);
  shape.layers = static_cast<int>(options.own.whole("block-layers"));
  shape.skip = true;
  shape.scale = residual_scale(options.own.word("residual-scale"), options.steps);
  return shape;
}

FirstWeights first_weights(const ModelOptions& options) {
  return {initialisation_from(options.own.word("init")), options.own.real("gain"), options.seed};
}

StepCost cost_of(const StepShape& shape) {
  StepCost cost;
  cost.layers = shape.layers;
  cost.parameters = static_cast<double>(shape.parameters());
  cost.flops = 2.0 * shape.layers * shape.width * shape.width;
  return cost;
}

std::unique_ptr<sequence::Sequence> make_resnet(const ModelOptions& options, const StepSet& local) {
  const StepShape shape = resnet_shape(options);
  const FirstWeights first = first_weights(options);
  if (options.own.flag("layer-norm"))
    return std::make_unique<NormalisedResNet>(shape, options.steps, local, first);
  return std::make_unique<LayeredChain>(shape, options.steps, local, first);
}

std::unique_ptr<sequence::Sequence> make_affine(const ModelOptions& options, const StepSet& local) {
  const FirstWeights first{Initialisation::orthogonal, options.own.real("contraction"),
                           options.seed};
  auto chain =
      std::make_unique<LayeredChain>(StepShape{options.width}, options.steps, local, first);
  const RandomStream offsets(options.seed, kOffsetStream);
  const int n = options.width;
  for (Index row = 0; row < local.size(); ++row)
    offsets.normal(local.step(row) * n, n,
                   chain->rows()[row].data() + chain->shape().bias_offset(0));
  return chain;
}

/// A chain that is read from a file has its biases and no first weights.
void adopt_layers(ModelOptions& options, const StoredLayers& stored) {
  if (stored.bias && options.own.flag("no-bias"))
    throw input_error("--no-bias: {} has a bias; leave the option out", stored.file);
  options.set("no-bias", "false").set("init", "zero");
}

void adopt_single_layers(ModelOptions& options, const StoredLayers& stored) {
  if (stored.per_step != 1) {
    throw input_error("{} has {} layers in a step, an mlp has one; use --model resnet", stored.file,
                      stored.per_step);
  }
  adopt_layers(options, stored);
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

CatalogueEntry mlp_entry() {
  CatalogueEntry entry;
  entry.name = "mlp";
  entry.help = "multilayer perceptron: sigma(W z + b)";
  entry.options = layer_options();
  entry.make = [](const ModelOptions& options, const StepSet& local) {
    return std::make_unique<LayeredChain>(mlp_shape(options), options.steps, local,
                                          first_weights(options));
  };
  entry.cost = [](const ModelOptions& options) { return cost_of(mlp_shape(options)); };
  entry.weights = WeightsFile{false, "", {"activation"}, adopt_single_layers};
  return entry;
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
  entry.cost = [](const ModelOptions& options) { return cost_of(resnet_shape(options)); };
  entry.weights = WeightsFile{
      true, "block-layers", {"activation", "residual-scale", "layer-norm"}, adopt_blocks};
  entry.coarse_chain = true;
  return entry;
}

CatalogueEntry affine_entry() {
  CatalogueEntry entry;
  entry.name = "affine";
  entry.help = "random affine steps A z + c with a chosen contraction";
  entry.options = {
      real_option("contraction", "0.9", 0, 1e3, "every singular value of a step's matrix")};
  entry.make = make_affine;
  entry.cost = [](const ModelOptions& options) { return cost_of(StepShape{options.width}); };
  return entry;
}

}  // namespace deeppcr::models
