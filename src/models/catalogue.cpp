#include "deeppcr/models/catalogue.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/models/affine.hpp"
#include "deeppcr/models/mlp.hpp"
#include "deeppcr/models/normalised_resnet.hpp"
#include "deeppcr/models/resnet.hpp"
#include "tight_steps.hpp"

namespace deeppcr::models {

namespace {

using Made = std::unique_ptr<sequence::Sequence>;

Made make_mlp(const ModelOptions& options, const StepSet& local) {
  return std::make_unique<Mlp>(
      MlpOptions{options.steps, options.width, activation_from(options.activation),
                 initialisation_from(options.init), options.gain, options.bias, options.seed},
      local);
}

Made make_resnet(const ModelOptions& options, const StepSet& local) {
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

Made make_affine(const ModelOptions& options, const StepSet& local) {
  return std::make_unique<Affine>(
      AffineOptions{options.steps, options.width, options.contraction, options.seed}, local);
}

/// @throws Error that lists the known models
const CatalogueEntry& entry(const std::string& name) {
  std::string known;
  for (const CatalogueEntry& candidate : catalogue()) {
    if (name == candidate.name) return candidate;
    known += known.empty() ? candidate.name : std::string(", ") + candidate.name;
  }
  throw input_error("unknown model '{}': known are {}", name, known);
}

}  // namespace

const std::vector<CatalogueEntry>& catalogue() {
  static const std::vector<CatalogueEntry> entries{
      {"mlp", "multilayer perceptron: sigma(W z + b)", make_mlp},
      {"resnet", "residual network: z + h g(z), g = block layers of sigma(W x + b)", make_resnet},
      {"affine", "random affine steps A z + c with a chosen contraction", make_affine},
  };
  return entries;
}

std::unique_ptr<sequence::Sequence> make(const ModelOptions& options,
                                                   const StepSet& local) {
  return entry(options.model).make(options, local);
}

double tangent_share(const ModelOptions& options) {
  constexpr int kNarrow = 16, kNear = 48;
  const auto model = make(options, {0, 0});  // for its shape
  const auto* chain = dynamic_cast<const LayeredChain*>(model.get());
  if (chain == nullptr || chain->shape().layers > 1 || !chain->shape().bias) return 0.4;
  const StepShape& shape = chain->shape();
  const TightKernels kernels = tight_kernels(shape, blocks::BlocksFrom::cache);
  if (kernels.run == nullptr) return shape.width < kNear ? 0.3 : 0.12;
  const double product = shape.width <= kNarrow ? 0.07 : kernels.one_pass ? 0.03 : 0.2;
  if (shape.activation != Activation::gelu) return product;
  // Its slope needs an exponential.
  const double narrower = std::min(1.0, double{kNarrow} / shape.width);
  return product + 0.12 * narrower * narrower;
}

}  // namespace deeppcr::models
