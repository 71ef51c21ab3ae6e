#include "app/stored_model.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "app/options.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/io/weights.hpp"
#include "deeppcr/models/catalogue.hpp"

namespace deeppcr::app {
namespace {

namespace po = boost::program_options;

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
  const std::string held = value_text(values[name].value());
  if (held == stored) return;
  if (given(values, name)) {
    throw input_error("--{} {}: {} has {}; leave the option out", name, held, file, stored);
  }
  boost::any value;
  try {
    option.semantic()->parse(value, {stored}, false);
  } catch (const std::exception& error) {
    throw input_error("'{}': its attribute {} is not understood: {}", file, name, error.what());
  }
  replace(values, name, value);
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
void adopt_model(const po::options_description& known, const std::string& file,
                 const std::map<std::string, std::string>& settings, po::variables_map& values) {
  const auto model = settings.find("model");
  if (model == settings.end()) return;
  std::vector<std::string> names;
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.weights) names.push_back(entry.name);
  if (std::find(names.begin(), names.end(), model->second) == names.end()) {
    throw input_error("'{}' says that it holds a model '{}'; known: {}", file, model->second,
                      fmt::join(names, ", "));
  }
  adopt(known.find("model", false), file, model->second, values);
}

/// What the file leaves open and no option says, and what nobody understands of it.
void warn(const std::string& file, const std::vector<std::string>& unknown,
          const std::map<std::string, std::string>& settings, const po::variables_map& values) {
  if (!unknown.empty()) {
    log::warn("'{}': nothing here understands its attributes {}; they are passed over", file,
              fmt::join(unknown, ", "));
  }
  std::vector<std::string> words;
  std::vector<std::string> matters = settings_of(text_of(values, "model"));
  matters.emplace_back("model");
  for (const char* name : {"model", "activation"}) {
    const bool open = values.count(name) > 0 && !given(values, name) && settings.count(name) == 0;
    if (open && std::find(matters.begin(), matters.end(), name) != matters.end())
      words.push_back(fmt::format("--{} {}", name, text_of(values, name)));
  }
  if (words.empty()) return;
  log::warn("'{}' does not say of which network it is, so this run takes {}; give what is right",
            file, fmt::join(words, " "));
}

}  // namespace

void adopt_stored_model(const po::options_description& known, po::variables_map& values,
                        const parallel::Communicator& comm) {
  const std::string file = text_of(values, "weights");
  const bool chosen_by_name = known.find_nothrow("model", false) != nullptr;
  if (file.empty() || !chosen_by_name) return;
  const io::WeightsShape sizes = io::inspect_weights(comm, file);
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : sizes.settings) settings[option_name(name)] = value;
  compare_sizes(file, sizes, settings);
  adopt_model(known, file, settings, values);
  adopt(known.find("steps", false), file, fmt::format("{}", sizes.num_steps), values);
  adopt(known.find("width", false), file, fmt::format("{}", sizes.width), values);
  for (const models::CatalogueEntry& entry : models::catalogue())
    if (entry.name == text_of(values, "model") && entry.weights &&
        !entry.weights->layers_option.empty())
      adopt(known.find(entry.weights->layers_option, false), file,
            fmt::format("{}", sizes.block_layers), values);
  std::set<std::string> understood{"model", "steps", "width", "block-layers"};
  for (const std::string& name : settings_of(text_of(values, "model"))) {
    understood.insert(name);
    const auto setting = settings.find(name);
    if (setting != settings.end())
      adopt(*known.find_nothrow(name, false), file, setting->second, values);
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
