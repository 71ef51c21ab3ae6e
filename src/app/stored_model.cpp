#include "deeppcr/app/stored_model.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "deeppcr/app/option_values.hpp"
#include "deeppcr/app/storage.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

/// Models that a weights file can hold.
std::vector<std::string> stored_models() {
  std::vector<std::string> names;
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.weights) names.push_back(entry.name);
  return names;
}

/// Options that a weights file decides; none for a model that no weights file holds.
std::vector<std::string> settings_of(const std::string& model) {
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model && entry.weights) return entry.weights->settings;
  return {};
}

/// The option gets the file's value. @throws Error where it was given with another one
void adopt(const po::option_description& option, const std::string& file, const std::string& stored,
           po::variables_map& values) {
  const std::string& name = option.long_name();
  if (!values[name].defaulted()) {
    const std::string given = value_text(values[name].value());
    if (given == stored) return;
    throw input_error("--{} {}: {} says that its {} is {}; leave the option out", name, given, file,
                      name, stored);
  }
  auto& raw = static_cast<std::map<std::string, po::variable_value>&>(values);
  if (value_text(values[name].value()) == stored) return;
  boost::any value;
  try {
    option.semantic()->parse(value, {stored}, false);
  } catch (const std::exception& error) {
    throw input_error("'{}': its attribute {} is not understood: {}", file, name, error.what());
  }
  raw[name] = po::variable_value(value, false);
}

/// The settings that the model understands; empty where the file names no model.
std::set<std::string> adopt_settings(const po::options_description& known, const std::string& file,
                                     const std::map<std::string, std::string>& settings,
                                     po::variables_map& values) {
  std::set<std::string> understood;
  const auto model = settings.find("model");
  if (model != settings.end()) {
    const std::vector<std::string> names = stored_models();
    if (std::find(names.begin(), names.end(), model->second) == names.end()) {
      throw input_error("'{}' says that it holds a model '{}'; known: {}", file, model->second,
                        fmt::join(names, ", "));
    }
    adopt(known.find("model", false), file, model->second, values);
    understood.insert("model");
  }
  for (const std::string& name : settings_of(text_of(values, "model"))) {
    const auto setting = settings.find(name);
    const po::option_description* option = known.find_nothrow(name, false);
    if (setting == settings.end() || option == nullptr) continue;
    adopt(*option, file, setting->second, values);
    understood.insert(name);
  }
  return understood;
}

}  // namespace

void adopt_stored_model(const po::options_description& known, po::variables_map& values,
                        const parallel::Communicator& comm) {
  const std::string file = text_of(values, "weights");
  const bool chosen_by_name = known.find_nothrow("model", false) != nullptr;
  if (file.empty() || !chosen_by_name || !storage::unavailable().empty()) return;
  const storage::WeightsSizes sizes = storage::weights_sizes(comm, file);
  const std::set<std::string> understood = adopt_settings(known, file, sizes.settings, values);
  std::vector<std::string> unknown = sizes.unknown_attributes;
  for (const auto& [name, value] : sizes.settings)
    if (understood.count(name) == 0) unknown.push_back(name);
  if (!unknown.empty()) {
    log::warn("'{}': nothing here understands its attributes {}; they are passed over", file,
              fmt::join(unknown, ", "));
  }
}

}  // namespace deeppcr::app
