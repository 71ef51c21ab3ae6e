#pragma once

#include <cstdint>

#include "deeppcr/models/catalogue.hpp"
#include "models/initialisation.hpp"
#include "models/layered_chain.hpp"

namespace deeppcr::models {

struct MlpOptions {
  Index steps = 0;
  int width = 1;
  Activation activation = Activation::tanh;
  Initialisation init = Initialisation::fan_in;
  double gain = 1;
  bool bias = true;
  std::uint64_t seed = 1;
};

/// Multilayer perceptron: step l is sigma(W_l z + b_l).
class Mlp : public LayeredChain {
 public:
  /// Makes the weights of the `local` steps only; they are the same for any split.
  Mlp(const MlpOptions& options, const StepSet& local);
};

CatalogueEntry mlp_entry();

}  // namespace deeppcr::models
