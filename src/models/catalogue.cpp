#include "deeppcr/models/catalogue.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"
#include "models/layered_models.hpp"
#include "models/recurrent_models.hpp"
#include "models/torch/torch_model.hpp"

namespace deeppcr::models {

namespace {

/// The only table that names the models.
Catalogue<CatalogueEntry>& table() {
  static Catalogue<CatalogueEntry> all{
      "model",
      {mlp_entry(), resnet_entry(), affine_entry(), rnn_entry(), gru_entry(), lstm_entry(),
       para_gru_entry(), para_lstm_entry(), torch_entry()}};
  return all;
}

/// The options with the entry's defaults where one is missing.
ModelOptions complete(const CatalogueEntry& entry, const ModelOptions& options) {
  ModelOptions all = options;
  all.own = OptionValues(entry.options, options.own);
  return all;
}

}  // namespace

ModelOptions& ModelOptions::set(const std::string& option, const std::string& value) {
  *this = complete(find(model), *this);
  own.set(option, value);
  return *this;
}

ModelOptions& ModelOptions::set(const std::string& option, double value) {
  return set(option, fmt::format("{}", value));
}

const std::deque<CatalogueEntry>& catalogue() { return table().entries(); }

void add_to_catalogue(CatalogueEntry entry) { table().add(std::move(entry)); }

const CatalogueEntry& find(const std::string& model) { return table().find(model); }

std::unique_ptr<sequence::Sequence> make(const ModelOptions& options, const StepSet& local) {
  const CatalogueEntry& entry = find(options.model);
  return entry.make(complete(entry, options), local);
}

int state_width(const ModelOptions& options) {
  const CatalogueEntry& entry = find(options.model);
  return entry.state_width ? entry.state_width(complete(entry, options)) : options.width;
}

int input_width(const ModelOptions& options) {
  const CatalogueEntry& entry = find(options.model);
  ModelOptions all = complete(entry, options);
  if (entry.input_width) return entry.input_width(all);
  all.steps = 0;
  return entry.make(all, StepRange{0, 0})->input_width();
}

StepCost step_cost(const ModelOptions& options) {
  const CatalogueEntry& entry = find(options.model);
  const ModelOptions all = complete(entry, options);
  if (entry.cost) return entry.cost(all);
  StepCost cost;
  for (const sequence::ParameterGroup& group : entry.make(all, StepRange{0, 0})->parameters())
    (group.shared ? cost.shared_parameters : cost.parameters) +=
        static_cast<double>(group.row_size());
  cost.flops = 2 * (cost.parameters + cost.shared_parameters);
  return cost;
}

void look_at_file(ModelOptions& options, const GivenSizes& given) {
  const CatalogueEntry& entry = find(options.model);
  if (!entry.look_at_file) return;
  options = complete(entry, options);
  entry.look_at_file(options, given);
}

std::unique_ptr<End> make_end(const ModelOptions& options, LayerRole role,
                              const std::string& file) {
  const CatalogueEntry& entry = find(options.model);
  return entry.make_end(complete(entry, options), role, file);
}

void save(const ModelOptions& options, const std::vector<Real*>& groups, const std::string& file) {
  const CatalogueEntry& entry = find(options.model);
  entry.save(complete(entry, options), groups, file);
}

double rounding(const ModelOptions& options) {
  const CatalogueEntry& entry = find(options.model);
  return entry.rounding ? entry.rounding(complete(entry, options))
                        : std::numeric_limits<double>::epsilon();
}

void adopt(ModelOptions& options, const StoredLayers& stored) {
  const CatalogueEntry& entry = find(options.model);
  if (!entry.weights) {
    std::vector<std::string> held;
    for (const CatalogueEntry& one : catalogue())
      if (one.weights) held.push_back(one.name);
    throw input_error("--weights {}: a weights file holds an {}; give its --model", stored.file,
                      fmt::join(held, " or "));
  }
  options = complete(entry, options);
  entry.weights->adopt(options, stored);
}

Index stored_layers(const ModelOptions& options) {
  const CatalogueEntry& entry = find(options.model);
  if (!entry.weights || entry.weights->layers_option.empty()) return 1;
  return complete(entry, options).own.whole(entry.weights->layers_option);
}

}  // namespace deeppcr::models
