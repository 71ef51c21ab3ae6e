#pragma once

#include <cstdint>
#include <string>

#include "deeppcr/models/catalogue.hpp"
#include "models/initialisation.hpp"
#include "models/layered_chain.hpp"

namespace deeppcr::models {

/// The factor h of a residual step z + h g(z): 1, 1/sqrt(L) or 1/L for a chain of L steps.
enum class ResidualScale { none, inverse_sqrt, inverse };

/// "none", "1/sqrt(L)", "1/L", as the command line has it.
const char* name(ResidualScale scale);
/// @throws Error that lists the known names
ResidualScale residual_scale_from(const std::string& name);
/// The number itself, for a chain of so many steps.
Real factor(ResidualScale scale, Index num_steps);

struct ResNetOptions {
  Index steps = 0;
  int width = 1;
  int block_layers = 2;
  Activation activation = Activation::relu;
  ResidualScale scale = ResidualScale::inverse_sqrt;
  Initialisation init = Initialisation::fan_in;
  double gain = 1;
  bool bias = true;
  std::uint64_t seed = 1;
};

/// Residual network: step l is z + h g_l(z), g_l = block_layers layers of sigma(W x + b).
class ResNet : public LayeredChain {
 public:
  /// Makes the weights of the `local` steps only; they are the same for any split.
  ResNet(const ResNetOptions& options, const StepSet& local);
};

/// Residual networks, with normalised blocks by an option.
CatalogueEntry resnet_entry();

}  // namespace deeppcr::models
