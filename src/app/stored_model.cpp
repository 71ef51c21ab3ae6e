#include "app/stored_model.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "deeppcr/cli/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/cell_weights.hpp"
#include "deeppcr/io/weights.hpp"
#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::app {
namespace {

/// Options that a weights file decides; none for a model that no weights file holds.
std::vector<std::string> settings_of(const std::string& model) {
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == model && entry.weights) return entry.weights->settings;
  return {};
}

/// The option gets the file's value. @throws Error where it was given with another one
void adopt(const std::string& name, const std::string& file, const std::string& stored,
           OptionValues& values) {
  const std::string held = values.text(name);
  if (held == stored) return;
  if (values.given(name)) {
    throw input_error("--{} {}: {} has {}; leave the option out", name, held, file, stored);
  }
  try {
    values.set(name, stored);
  } catch (const Error& error) {
    throw input_error("'{}': its attribute {} is not understood: {}", file, name, error.what());
  }
}

/// The option that an attribute is called after: "layer_norm" and "Layer-Norm" are "layer-norm".
std::string option_name(std::string attribute) {
  for (char& letter : attribute)
    letter = letter == '_' ? '-' : static_cast<char>(std::tolower(letter));
  return attribute;
}

/// Sizes that the file says beside those that it has. @throws Error where they differ
void compare_sizes(const std::string& file, const io::WeightsShape& sizes,
                   const std::map<std::string, std::string>& settings) {
  const std::map<std::string, Index> found{
      {"steps", sizes.num_steps}, {"width", sizes.width}, {"block-layers", sizes.block_layers}};
  for (const auto& [name, size] : found) {
    const auto said = settings.find(name);
    if (said == settings.end() || said->second == fmt::format("{}", size)) continue;
    throw input_error("'{}' says that its {} is {}, but its layers have {}", file, name,
                      said->second, size);
  }
}

/// The model that the file names, else the option's.
void adopt_model(const std::string& file, const std::map<std::string, std::string>& settings,
                 OptionValues& values) {
  const auto model = settings.find("model");
  if (model == settings.end()) return;
  std::vector<std::string> names;
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.weights) names.push_back(entry.name);
  if (std::find(names.begin(), names.end(), model->second) == names.end()) {
    throw input_error("'{}' says that it holds a model '{}'; known: {}", file, model->second,
                      fmt::join(names, ", "));
  }
  adopt("model", file, model->second, values);
}

/// What the file leaves open and no option says, and what nobody understands of it.
void warn(const std::string& file, const std::vector<std::string>& unknown,
          const std::map<std::string, std::string>& settings, const OptionValues& values) {
  if (!unknown.empty()) {
    log::warn("'{}': nothing here understands its attributes {}; they are passed over", file,
              fmt::join(unknown, ", "));
  }
  std::vector<std::string> words;
  std::vector<std::string> matters = settings_of(values.text("model"));
  matters.emplace_back("model");
  for (const char* name : {"model", "activation"}) {
    const bool open = values.has(name) && !values.given(name) && settings.count(name) == 0;
    if (open && std::find(matters.begin(), matters.end(), name) != matters.end())
      words.push_back(fmt::format("--{} {}", name, values.text(name)));
  }
  if (words.empty()) return;
  log::warn("'{}' does not say of which network it is, so this run takes {}; give what is right",
            file, fmt::join(words, " "));
}

/// Options as a file of recurrent cells has them.
void adopt_cells(const std::string& file, const io::CellsShape& cells, OptionValues& values) {
  adopt("model", file, cells.cell, values);
  const std::map<std::string, std::string> found{{"width", fmt::format("{}", cells.units)},
                                                 {"layers", fmt::format("{}", cells.layers)},
                                                 {"features", fmt::format("{}", cells.features)},
                                                 {"candidate", cells.candidate},
                                                 {"activation", cells.activation},
                                                 {"reset", cells.candidate.empty() ? ""
                                                           : cells.reset_before    ? "before"
                                                                                   : "after"}};
  for (const auto& [name, value] : found)
    if (!value.empty()) adopt(name, file, value, values);
  if (!cells.unknown_attributes.empty()) {
    log::warn("'{}': nothing here understands its attributes {}; they are passed over", file,
              fmt::join(cells.unknown_attributes, ", "));
  }
}

}  // namespace

void adopt_stored_model(OptionValues& values, const parallel::Communicator& comm) {
  const std::string file = values.text("weights");
  if (file.empty() || !values.has("model")) return;
  if (const auto cells = io::inspect_cells(comm, file)) {
    adopt_cells(file, *cells, values);
    return;
  }
  const io::WeightsShape sizes = io::inspect_weights(comm, file);
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : sizes.settings) settings[option_name(name)] = value;
  compare_sizes(file, sizes, settings);
  adopt_model(file, settings, values);
  adopt("steps", file, fmt::format("{}", sizes.num_steps), values);
  adopt("width", file, fmt::format("{}", sizes.width), values);
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == values.text("model") && entry.weights &&
        !entry.weights->layers_option.empty())
      adopt(entry.weights->layers_option, file, fmt::format("{}", sizes.block_layers), values);
  std::set<std::string> understood{"model", "steps", "width", "block-layers"};
  for (const std::string& name : settings_of(values.text("model"))) {
    understood.insert(name);
    const auto setting = settings.find(name);
    if (setting != settings.end()) adopt(name, file, setting->second, values);
  }
  std::vector<std::string> unknown;
  for (const std::string& name : sizes.unknown_attributes) {
    if (understood.count(option_name(name)) > 0)
      throw input_error("'{}': its attribute {} is not one text or number", file, name);
    unknown.push_back(name);
  }
  for (const auto& [name, value] : sizes.settings)
    if (understood.count(option_name(name)) == 0) unknown.push_back(name);
  warn(file, unknown, settings, values);
}

}  // namespace deeppcr::app
