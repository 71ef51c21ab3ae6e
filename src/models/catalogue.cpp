#include "deeppcr/models/catalogue.hpp"

#include "deeppcr/core/error.hpp"
#include "deeppcr/models/affine.hpp"
#include "deeppcr/models/mlp.hpp"
#include "deeppcr/models/normalised_resnet.hpp"
#include "deeppcr/models/resnet.hpp"

namespace deeppcr::models {

namespace {

using Made = std::unique_ptr<sequence::ParametricSequence>;

Made make_mlp(const ModelOptions& options, StepRange local) {
  return std::make_unique<Mlp>(
      MlpOptions{options.steps, options.width, activation_from(options.activation),
                 initialisation_from(options.init), options.gain, options.bias, options.seed},
      local);
}

Made make_resnet(const ModelOptions& options, StepRange local) {
  const ResNetOptions resnet{options.steps,
                             options.width,
                             options.block_layers,
                             activation_from(options.activation),
                             residual_scale_from(options.residual_scale),
                             initialisation_from(options.init),
                             options.gain,
                             options.bias,
                             options.seed};
  if (options.layer_norm) return std::make_unique<NormalisedResNet>(resnet, local);
  return std::make_unique<ResNet>(resnet, local);
}

Made make_affine(const ModelOptions& options, StepRange local) {
  return std::make_unique<Affine>(
      AffineOptions{options.steps, options.width, options.contraction, options.seed}, local);
}

}  // namespace

double slope_share(const ModelOptions& options) {
  constexpr double kTanh = 0.04, kGelu = 0.15;
  if (options.model == "affine") return 0;
  const Activation activation = activation_from(options.activation);
  if (activation == Activation::tanh) return kTanh;
  return activation == Activation::gelu ? kGelu : 0;
}

const std::vector<CatalogueEntry>& catalogue() {
  static const std::vector<CatalogueEntry> entries{
      {"mlp", "multilayer perceptron: sigma(W z + b)", make_mlp},
      {"resnet", "residual network: z + h g(z), g = block layers of sigma(W x + b)", make_resnet},
      {"affine", "random affine steps A z + c with a chosen contraction", make_affine},
  };
  return entries;
}

std::unique_ptr<sequence::ParametricSequence> make(const ModelOptions& options, StepRange local) {
  std::string known;
  for (const CatalogueEntry& entry : catalogue()) {
    if (options.model == entry.name) return entry.make(options, local);
    known += known.empty() ? entry.name : std::string(", ") + entry.name;
  }
  throw input_error("unknown model '{}': known are {}", options.model, known);
}

}  // namespace deeppcr::models
