#include "models/affine.hpp"

#include "deeppcr/core/random.hpp"
#include "models/initialisation.hpp"
#include "models/layer_options.hpp"

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

CatalogueEntry affine_entry() {
  CatalogueEntry entry;
  entry.name = "affine";
  entry.help = "random affine steps A z + c with a chosen contraction";
  entry.options = {
      real_option("contraction", "0.9", 0, 1e3, "every singular value of a step's matrix")};
  entry.make = [](const ModelOptions& options, const StepSet& local) {
    return std::make_unique<Affine>(
        AffineOptions{options.steps, options.width, options.own.real("contraction"), options.seed},
        local);
  };
  entry.cost = [](const ModelOptions& options) { return cost_of(StepShape{options.width}); };
  return entry;
}

}  // namespace deeppcr::models
