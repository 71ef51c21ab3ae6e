#include "io/tensor_names.hpp"

#include <algorithm>
#include <optional>

#include "deeppcr/core/error.hpp"
#include "io/known_content.hpp"
#include "io/tensor_modules.hpp"

namespace deeppcr::io {

namespace {

constexpr const char* kNameThem = "call the ends 'embedding' and 'head'";

/// Puts the tensors of a module into a group of the layout.
void place(const Module& module, const std::string& group, std::vector<std::string>& names) {
  for (const auto& [part, index] : module.parts) names[index] = group + "/" + part;
}

// ---- chains of layers ---------------------------------------------------------------------------

/// weight [out, in] and perhaps bias [out].
void require_layer(const Module& module, const TensorNames& all) {
  for (const auto& [part, index] : module.parts) {
    const hdf5::Shape& sizes = all.sizes(index);
    if ((part == "weight" && sizes.size() == 2) || part == "bias") continue;
    throw local_input_error(
        "'{}' in '{}' has sizes {}; a chain of layers has weights [out, in] and biases [out]",
        all.name(index), all.path(), text_of(sizes));
  }
  const auto weight = module.parts.find("weight");
  const auto bias = module.parts.find("bias");
  if (weight == module.parts.end())
    throw local_input_error("'{}' in '{}' has no weight beside it", all.name(bias->second),
                            all.path());
  const hdf5::Shape& sizes = all.sizes(weight->second);
  if (bias == module.parts.end() || all.sizes(bias->second) == hdf5::Shape{sizes[0]}) return;
  throw local_input_error("'{}' in '{}' has sizes {}, but its weight has {} rows",
                          all.name(bias->second), all.path(), text_of(all.sizes(bias->second)),
                          sizes[0]);
}

const hdf5::Shape& weight_of(const Module& module, const TensorNames& all) {
  return all.sizes(module.parts.at("weight"));
}

bool has_bias(const Module& layer) { return layer.parts.count("bias") > 0; }

/// n of the layers [n, n], which must be one.
Index width_of(const std::vector<Module>& layers, const TensorNames& all) {
  const Module* first = nullptr;
  for (const Module& layer : layers) {
    const hdf5::Shape& sizes = weight_of(layer, all);
    if (sizes[0] != sizes[1]) continue;
    if (first == nullptr) first = &layer;
    if (weight_of(*first, all) == sizes) continue;
    throw local_input_error("the layers '{}' and '{}' in '{}' are {} and {}; a chain has one width",
                            first->name, layer.name, all.path(), text_of(weight_of(*first, all)),
                            text_of(sizes));
  }
  if (first != nullptr) return weight_of(*first, all)[0];
  throw local_input_error("'{}' has no layer [n, n], so no chain", all.path());
}

/// Takes the layer of that name, or the one that `fits`, out of the others.
template <typename Fits>
std::optional<Module> take(std::vector<Module>& layers, const std::string& name, const Fits& fits,
                           const TensorNames& all) {
  std::optional<Module> taken;
  const auto take_if = [&](const auto& wanted) {
    for (std::size_t i = layers.size(); i-- > 0;) {
      if (!wanted(layers[i])) continue;
      if (taken) {
        throw local_input_error("both '{}' and '{}' in '{}' could be the {}; {}", layers[i].name,
                                taken->name, all.path(), name, kNameThem);
      }
      taken = layers[i];
      layers.erase(layers.begin() + static_cast<std::ptrdiff_t>(i));
    }
  };
  take_if([&](const Module& layer) { return layer.name == name; });
  if (!taken) take_if(fits);
  return taken;
}

/// An end whose name differs from the chain's by numbers alone must stand at that end.
void require_outside(const std::optional<Module>& end, bool before,
                     const std::vector<Module>& chain, const TensorNames& all) {
  if (!end || end->pattern != chain.front().pattern) return;
  if (before ? end->numbers < chain.front().numbers : end->numbers > chain.back().numbers) return;
  throw local_input_error("'{}' in '{}' is {}, but stands inside the chain '{}' to '{}'", end->name,
                          all.path(), text_of(weight_of(*end, all)), chain.front().name,
                          chain.back().name);
}

std::vector<std::string> chain_names(const TensorNames& all) {
  std::vector<Module> chain = all.modules();
  for (const Module& layer : chain) require_layer(layer, all);
  const Index n = width_of(chain, all);
  const auto takes_features = [&](const Module& layer) {
    const hdf5::Shape& sizes = weight_of(layer, all);
    return sizes[0] == n && sizes[1] != n;
  };
  // [c, n] without a bias may be a table of tokens (nn.Embedding), which is no layer.
  const bool biases = std::any_of(chain.begin(), chain.end(), has_bias);
  const auto gives_classes = [&](const Module& layer) {
    const hdf5::Shape& sizes = weight_of(layer, all);
    return sizes[1] == n && sizes[0] != n && has_bias(layer) == biases;
  };
  const auto embedding = take(chain, "embedding", takes_features, all);
  const auto head = take(chain, "head", gives_classes, all);
  for (const Module& layer : chain) {
    if (weight_of(layer, all) == hdf5::Shape{n, n}) continue;
    throw local_input_error("'{}' in '{}' is {}, but the chain has width {}; {}", layer.name,
                            all.path(), text_of(weight_of(layer, all)), n, kNameThem);
  }
  if (chain.empty())
    throw local_input_error("'{}' has an embedding or a head, but no chain", all.path());
  const bool goes_on = embedding && embedding->pattern == chain.front().pattern;
  const std::vector<std::vector<Index>> places = places_of(chain, !goes_on, all, kNameThem);
  require_outside(embedding, true, chain, all);
  require_outside(head, false, chain, all);
  std::vector<std::string> names(all.size());
  for (std::size_t i = 0; i < chain.size(); ++i)
    place(chain[i], fmt::format("/layers/{}", fmt::join(places[i], "/")), names);
  if (embedding) place(*embedding, "/embedding", names);
  if (head) place(*head, "/head", names);
  return names;
}

// ---- recurrent cells ----------------------------------------------------------------------------

/// A fully connected layer beside the cells must be their head: it cannot stand before them.
void require_head(const Module& head, const Module& lowest, const TensorNames& all) {
  require_layer(head, all);
  const auto size = [&](const char* part, std::size_t axis) {
    const auto found = lowest.parts.find(part);
    const hdf5::Shape& sizes =
        found == lowest.parts.end() ? hdf5::Shape{} : all.sizes(found->second);
    return sizes.size() > axis ? sizes[axis] : 0;
  };
  if (head.name == "head" || weight_of(head, all)[0] != size("weight_ih", 1)) return;
  throw local_input_error(
      "'{}' in '{}' has {} outputs, as many as an input of the cells, and may stand before them; "
      "call it 'head' where it stands behind",
      head.name, all.path(), weight_of(head, all)[0]);
}

std::vector<std::string> cell_names(const TensorNames& all) {
  std::vector<Module> cells, others;
  for (const Module& module : all.modules()) (is_cell(module) ? cells : others).push_back(module);
  for (const Module& cell : cells) {
    for (const auto& [part, index] : cell.parts) {
      if (holds(kLayerOfCells, part)) continue;
      throw local_input_error("'{}' in '{}': {}", all.name(index), all.path(),
                              part == "weight_hr" ? "an LSTM with a projection is no cell here"
                              : part.find("_reverse") != std::string::npos
                                  ? "a bidirectional network is no chain"
                                  : "no recurrent cell here has such a tensor");
    }
  }
  const auto places = places_of(cells, true, all, "leave one recurrent network in the file");
  std::vector<std::string> names(all.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    place(cells[i], cells.size() == 1 ? "" : fmt::format("/cell/{}", i), names);
  if (others.size() > 1 || (others.size() == 1 && others.front().name == "")) {
    throw local_input_error(
        "'{}' has the layers '{}' and '{}' beside its recurrent cells; one, the head, can be read",
        all.path(), others.front().name, others.back().name);
  }
  for (const Module& head : others) {
    require_head(head, cells.front(), all);
    place(head, "/head", names);
  }
  return names;
}

/// One tensor for all layers, as the layout has it: other names are then none of a state_dict.
bool is_stacked(const TensorNames& all) {
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all.name(i) == "layers.weight") return all.sizes(i).size() != 2;
  return false;
}

std::vector<std::string> own_names(const TensorNames& all) {
  std::vector<std::string> names(all.size());
  for (const Module& module : all.modules()) {
    for (const auto& [part, index] : module.parts) {
      if (holds(kChainMembers, module.name) && holds({"weight", "bias"}, part)) continue;
      throw local_input_error("'{}' has '{}' beside 'layers.weight', where nothing reads it",
                              all.path(), all.name(index));
    }
    place(module, "/" + module.name, names);
  }
  return names;
}

}  // namespace

std::vector<std::string> dataset_names(const std::string& path,
                                       const std::vector<Tensor>& tensors) {
  const TensorNames all(path, tensors);
  const std::vector<Module>& modules = all.modules();
  if (std::any_of(modules.begin(), modules.end(), is_cell)) return cell_names(all);
  return is_stacked(all) ? own_names(all) : chain_names(all);
}

}  // namespace deeppcr::io
