#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "deeppcr/models/catalogue.hpp"
#include "support/identifier.hpp"
#include "support/model_options.hpp"

namespace deeppcr::test {

/// A model with those of its options that decide which code runs.
struct ModelVariant {
  const char* model;
  int block_layers;
  bool bias;
  bool layer_norm = false;
  const char* more = "";  ///< other options: "layers 2 reset before"
};

inline models::ModelOptions options_of(const ModelVariant& variant, const std::string& activation,
                                       int width, Index steps) {
  models::ModelOptions options;
  options.model = variant.model;
  set_where_known(options, "block-layers", variant.block_layers);
  if (!variant.bias) options.set("no-bias", "true");
  if (variant.layer_norm) options.set("layer-norm", "true");
  set_where_known(options, "activation", activation);
  std::istringstream more(variant.more);
  for (std::string option, value; more >> option >> value;) options.set(option, value);
  options.width = width;
  options.steps = steps;
  return options;
}

/// "resnet2_no_bias_tanh_n5", as GoogleTest takes it.
inline std::string name_of(const ModelVariant& variant, const std::string& activation, int width) {
  return as_identifier(variant.model) + std::to_string(variant.block_layers) +
         (variant.bias ? "" : "_no_bias") + (variant.layer_norm ? "_normalised_" : "_") +
         as_identifier(variant.more) + activation + "_n" + std::to_string(width);
}

/// The models of the catalogue beside those that a test has in its table: models from outside.
/// Those that a file describes have tests of their own.
template <typename Table>
std::vector<ModelVariant> added_variants(const Table& known) {
  std::vector<ModelVariant> added;
  for (const models::CatalogueEntry& entry : models::catalogue()) {
    bool found = false;
    for (const ModelVariant& variant : known) found = found || entry.name == variant.model;
    if (!found && !entry.look_at_file) added.push_back({entry.name.c_str(), 1, true});
  }
  return added;
}

}  // namespace deeppcr::test
