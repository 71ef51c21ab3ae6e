#include "io/weights_detail.hpp"

#include <algorithm>
#include <charconv>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/safetensors.hpp"
#include "io/known_content.hpp"
#include "io/tensor_names.hpp"

namespace deeppcr::io {

namespace {

/// Longer texts in an attribute would not fit, and none that is obeyed is so long.
constexpr std::size_t kMostTextBytes = 1024;

}  // namespace

hdf5::File open_weights(const std::string& path) {
  if (!is_safetensors(path)) return hdf5::File::open(path, hdf5::File::Access::read);
  const TensorFile held = read_tensor_file(path);
  const std::vector<std::string> names = dataset_names(path, held.tensors);
  hdf5::File file = hdf5::File::in_memory(path);
  for (std::size_t i = 0; i < names.size(); ++i) file.show(names[i], held.tensors[i].numbers);
  for (const auto& [name, value] : held.metadata)
    file.set("/", name, value.substr(0, kMostTextBytes));
  return file;
}

void require_sizes(const hdf5::File& file, const std::string& name, const hdf5::Shape& wanted) {
  const hdf5::Shape found = real_shape(file, name);
  if (found == wanted) return;
  throw local_input_error("{} in '{}' has sizes {}, but {} were expected", name, file.path(),
                          text_of(found), text_of(wanted));
}

Index count_numbered(const hdf5::File& file, const std::string& group) {
  const std::vector<std::string> names = file.children(group);
  for (const std::string& name : names) {
    std::size_t number = names.size();
    std::from_chars(name.data(), name.data() + name.size(), number);
    // Names differ, so that all numbers below their count are there when each name is one.
    if (number < names.size() && name == fmt::format("{}", number)) continue;
    throw local_input_error(
        "{} in '{}' has {} members, so they must be named 0 to {}, without leading zeros; found "
        "'{}'",
        group, file.path(), names.size(), names.size() - 1, name);
  }
  return static_cast<Index>(names.size());
}

hdf5::Shape outer_layer(const hdf5::File& file, const std::string& group) {
  if (!file.has(group)) return {0, 0};
  require_known_members(file, group, {"weight", "bias"},
                        "it holds weight [out, in] and bias [out]");
  if (!file.is_dataset(group + "/weight"))
    throw local_input_error("'{}' has {} without a weight [out, in]", file.path(), group);
  const hdf5::Shape sizes = real_shape(file, group + "/weight");
  if (sizes.size() != 2) {
    throw local_input_error("{}/weight in '{}' has sizes {}; it must be [out, in]", group,
                            file.path(), text_of(sizes));
  }
  if (file.is_dataset(group + "/bias")) require_sizes(file, group + "/bias", {sizes[0]});
  return sizes;
}

void require_width(const hdf5::File& file, const std::string& name, Index found, Index width) {
  if (found == 0 || found == width) return;
  throw local_input_error("{} in '{}' has width {}, but the chain has {}", name, file.path(), found,
                          width);
}

void require_out_first(const hdf5::File& file, const std::string& object) {
  if (!file.has_attribute(object, "dimensions")) return;
  const std::vector<std::string> axes = file.texts(object, "dimensions");
  const auto out = std::find(axes.begin(), axes.end(), "out");
  if (out == axes.end() || std::find(axes.begin(), out, "in") == out) return;
  throw local_input_error(
      "{} in '{}' says that its dimensions are [{}]; weights are [.., out, in], so transpose it",
      object, file.path(), fmt::join(axes, ", "));
}

void add_unknown_attributes(const hdf5::File& file, const std::string& object,
                            std::vector<std::string>& unknown) {
  for (const std::string& name : unknown_attributes(file, object))
    unknown.push_back(fmt::format("{} of {}", name, object));
  require_out_first(file, object);
  if (file.is_dataset(object)) return;
  for (const std::string& child : file.children(object))
    add_unknown_attributes(file, object + "/" + child, unknown);
}

void broadcast_texts(const parallel::Communicator& comm, std::vector<std::string>& texts) {
  auto count = static_cast<Index>(texts.size());
  comm.broadcast(count, 0);
  texts.resize(static_cast<std::size_t>(count));
  for (std::string& text : texts) comm.broadcast(text, 0);
}

}  // namespace deeppcr::io
