#include "io/cell_layer.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include "deeppcr/core/error.hpp"
#include "io/known_content.hpp"
#include "io/weights_detail.hpp"

namespace deeppcr::io {

namespace {

constexpr const char* kStackHolds =
    "a layer holds weight_ih, weight_hh, bias or bias_ih and bias_hh, and for para-lstm peephole";

bool is_no(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return holds({"0", "0.0", "false", "no", "none"}, word);
}

void require_denied(const hdf5::File& file, const std::string& object) {
  for (const std::string& name : kDenied) {
    if (!file.has_attribute(object, name)) continue;
    const std::string value = file.as_text(object, name).value_or("several values");
    if (is_no(value)) continue;
    throw local_input_error(
        "attribute '{}' of {} in '{}' is '{}'; such cells cannot be read, only those without (0, "
        "or no attribute)",
        name, object, file.path(), value);
  }
}

/// What the attributes of a layer say, which must agree.
std::map<std::string, std::string> read_settings(const hdf5::File& file, const std::string& group) {
  std::map<std::string, std::string> settings;
  for (const std::string& object : described_by(file, group)) {
    require_denied(file, object);
    for (const std::string& name : kObeyed) {
      if (!file.has_attribute(object, name)) continue;
      const std::string value = fmt::format("{}", fmt::join(file.texts(object, name), ","));
      const auto [at, is_new] = settings.emplace(name == "model" ? "cell" : name, value);
      if (is_new || at->second == value) continue;
      throw local_input_error(
          "attribute '{}' of {} in '{}' is '{}', but '{}' elsewhere in the file", name, object,
          file.path(), value, at->second);
    }
  }
  return settings;
}

/// By its name, or where the file has none by the sizes of weight_hh.
const CellKind& kind_of(const hdf5::File& file, const std::string& group,
                        const std::map<std::string, std::string>& settings) {
  const auto named = settings.find("cell");
  if (named != settings.end()) {
    try {
      return cell_kind(named->second);
    } catch (const Error& error) {
      throw local_input_error("'{}': {}", file.path(), error.what());
    }
  }
  const hdf5::Shape sizes = real_shape(file, group + "/weight_hh");
  const bool blocks = sizes.size() == 2 && sizes[1] > 0 && sizes[0] % sizes[1] == 0;
  const CellKind* kind = blocks ? cell_of_gates(sizes[0] / sizes[1]) : nullptr;
  if (kind != nullptr) return *kind;
  throw local_input_error(
      "{}/weight_hh in '{}' has sizes {}, and no attribute says which 'cell' it belongs to; one of "
      "PyTorch has [n, n], [3 n, n] or [4 n, n]",
      group, file.path(), text_of(sizes));
}

/// The word that an attribute gives for what may differ in such a cell; "" for what may not.
std::string word_of(const hdf5::File& file, const CellLayer& layer, const std::string& name,
                    const std::vector<std::string>& allowed,
                    const std::map<std::string, std::string>& settings) {
  const auto found = settings.find(name);
  if (found == settings.end()) return allowed.size() > 1 ? allowed.front() : "";
  if (holds(allowed, found->second) || holds(allowed, ""))
    return allowed.size() > 1 ? found->second : "";
  throw local_input_error("attribute '{}' in '{}' is '{}'; {} has {}", name, file.path(),
                          found->second, layer.kind->name,
                          allowed.empty() ? "none" : fmt::format("{}", fmt::join(allowed, " or ")));
}

/// n and the features of an input.
void read_sizes(const hdf5::File& file, const std::string& group, CellLayer& layer) {
  const Index gates = layer.kind->num_gates();
  const hdf5::Shape recurrent = real_shape(file, group + "/weight_hh");
  const hdf5::Shape input = real_shape(file, group + "/weight_ih");
  const Index n = recurrent.empty() ? 0 : recurrent.front() / gates;
  const hdf5::Shape wanted =
      layer.kind->diagonal ? hdf5::Shape{gates * n} : hdf5::Shape{gates * n, n};
  if (n == 0 || recurrent != wanted) {
    throw local_input_error("{}/weight_hh in '{}' has sizes {}; {} needs [{} n{}]", group,
                            file.path(), text_of(recurrent), layer.kind->name, gates,
                            layer.kind->diagonal ? "" : ", n");
  }
  if (input.size() != 2 || input[0] != gates * n || input[1] == 0) {
    throw local_input_error(
        "{}/weight_ih in '{}' has sizes {}; {} of {} units needs [{}, features]", group,
        file.path(), text_of(input), layer.kind->name, n, gates * n);
  }
  layer.shape.units = n;
  layer.shape.features = input[1];
}

void require_parts(const hdf5::File& file, const std::string& group, const CellLayer& layer) {
  std::vector<std::string> known;
  for (const CellPart& part : layer.parts) {
    known.push_back(part.name);
    const std::string name = dataset_of(file, group, part);
    if (file.has(name)) require_sizes(file, name, part.shape());
    if (!file.has(name) && part.required)
      throw local_input_error("'{}' has no {}, which {} needs", file.path(), name,
                              layer.kind->name);
  }
  const std::vector<std::string> members = members_of(file, group);
  if (!layer.kind->diagonal && holds(members, "bias")) {
    if (holds(members, "bias_ih") || holds(members, "bias_hh")) {
      throw local_input_error(
          "'{}' has {}/bias beside bias_ih or bias_hh; give bias alone, for the input side, or the "
          "two others",
          file.path(), group);
    }
    known.emplace_back("bias");
  }
  for (const std::string& name : members) {
    if (holds(known, name)) continue;
    throw local_input_error("'{}' has {}/{}, but {} has {}", file.path(), group, name,
                            layer.kind->name, fmt::join(known, ", "));
  }
}

}  // namespace

std::string group_of(const hdf5::File& file, Index layer) {
  return file.has("/cell") ? fmt::format("/cell/{}", layer) : "";
}

std::vector<std::string> members_of(const hdf5::File& file, const std::string& group) {
  std::vector<std::string> members;
  for (const std::string& name : kLayerOfCells)
    if (file.has(group + "/" + name)) members.push_back(name);
  return members;
}

std::vector<std::string> described_by(const hdf5::File& file, const std::string& group) {
  std::vector<std::string> objects{"/"};
  if (!group.empty()) objects.insert(objects.end(), {"/cell", group});
  for (const std::string& name : members_of(file, group)) objects.push_back(group + "/" + name);
  return objects;
}

std::string dataset_of(const hdf5::File& file, const std::string& group, const CellPart& part) {
  const bool plain = part.name == "bias_ih" && file.has(group + "/bias");
  return group + "/" + (plain ? "bias" : part.name);
}

CellLayer inspect_layer(const hdf5::File& file, Index index) {
  const std::string group = group_of(file, index);
  if (!group.empty()) require_known_members(file, group, kLayerOfCells, kStackHolds);
  for (const char* name : {"weight_ih", "weight_hh"})
    if (!file.is_dataset(group + "/" + name))
      throw local_input_error("'{}' has no {}/{}; {}", file.path(), group, name, kStackHolds);
  const std::map<std::string, std::string> settings = read_settings(file, group);
  CellLayer layer;
  layer.kind = &kind_of(file, group, settings);
  read_sizes(file, group, layer);
  layer.parts = parts_of(*layer.kind, layer.shape.features, layer.shape.units);
  require_parts(file, group, layer);
  const auto gates = settings.find("gates");
  layer.places = places_of_gates(*layer.kind,
                                 gates == settings.end() ? gates_text(*layer.kind) : gates->second,
                                 fmt::format("attribute 'gates' in '{}'", file.path()));
  layer.shape.cell = layer.kind->name;
  layer.shape.candidate = word_of(file, layer, "candidate", layer.kind->candidate, settings);
  layer.shape.activation = word_of(file, layer, "activation", layer.kind->activation, settings);
  layer.shape.reset_before = word_of(file, layer, "reset", layer.kind->reset, settings) == "before";
  return layer;
}

}  // namespace deeppcr::io
