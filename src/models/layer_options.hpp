#pragma once

#include <vector>

#include "deeppcr/models/catalogue.hpp"
#include "models/initialisation.hpp"
#include "models/layered_chain.hpp"

namespace deeppcr::models {

/// --activation, --init, --gain and --no-bias, which models of fully connected layers share.
std::vector<OptionSpec> layer_options();

/// What those options say.
struct LayerChoice {
  Activation activation;
  Initialisation init;
  double gain;
  bool bias;
};
LayerChoice layer_choice(const OptionValues& own);

/// Fills the parameters of a chain's local steps.
void initialise_chain(LayeredChain& chain, Initialisation kind, double gain, std::uint64_t seed);

/// What a step of a LayeredChain takes.
StepCost cost_of(const StepShape& shape);

/// A chain that is read from a file has its biases and no first weights.
/// @throws Error for --no-bias where the file has a bias
void adopt_layers(ModelOptions& options, const StoredLayers& stored);

}  // namespace deeppcr::models
