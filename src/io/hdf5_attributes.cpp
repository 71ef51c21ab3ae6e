#include <algorithm>
#include <cstring>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

namespace {

/// An attribute's value as the file has it: entries of one size, one after another.
struct Stored {
  std::string bytes;
  Index count = 1;
  bool is_list = false;
  hid_t number = H5I_INVALID_HID;  ///< type of an entry; none for texts
};

Stored stored(const std::vector<std::string>& texts) {
  return {padded(texts), static_cast<Index>(texts.size()), true};
}

Stored stored(const std::string& text) { return {padded({text}), 1, false}; }

template <typename T>
std::string bytes_of(const T* numbers, std::size_t count) {
  return {reinterpret_cast<const char*>(numbers), count * sizeof(T)};
}

Stored stored(const double& number) { return {bytes_of(&number, 1), 1, false, H5T_IEEE_F64LE}; }

Stored stored(const Index& number) { return {bytes_of(&number, 1), 1, false, H5T_STD_I64LE}; }

Stored stored(const std::vector<Index>& numbers) {
  return {bytes_of(numbers.data(), numbers.size()), static_cast<Index>(numbers.size()), true,
          H5T_STD_I64LE};
}

Id type_of(const Stored& value) {
  if (value.number >= 0) return {H5Tcopy(value.number), H5Tclose, "H5Tcopy"};
  return text_type(value.bytes.size() / static_cast<std::size_t>(std::max<Index>(value.count, 1)));
}

Id space_of(const Stored& value) {
  if (!value.is_list) return {H5Screate(H5S_SCALAR), H5Sclose, "H5Screate"};
  const auto size = static_cast<hsize_t>(value.count);
  return {H5Screate_simple(1, &size, nullptr), H5Sclose, "H5Screate_simple"};
}

struct Attribute {
  Id handle;
  Id type;
  H5T_class_t kind = H5T_NO_CLASS;
  std::size_t count = 1;
  std::size_t bytes = 0;  ///< of an entry

  void read(hid_t memory_type, void* out, const std::string& name) const {
    check(H5Aread(handle.get(), memory_type, out), fmt::format("read attribute '{}'", name));
  }
};

Attribute open_attribute(hid_t file, const std::string& path, const std::string& object,
                         const std::string& name) {
  if (H5Aexists_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT) <= 0) {
    clear_errors();
    throw local_input_error("'{}' has no attribute '{}' on {}", path, name, object);
  }
  const std::string what = fmt::format("read attribute '{}' of {} in '{}'", name, object, path);
  Attribute found;
  found.handle = Id(H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                    H5Aclose, what);
  found.type = Id(H5Aget_type(found.handle.get()), H5Tclose, what);
  found.kind = H5Tget_class(found.type.get());
  const Id space(H5Aget_space(found.handle.get()), H5Sclose, what);
  found.count = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get()));
  found.bytes = H5Tget_size(found.type.get());
  return found;
}

template <typename T>
T read_number(const Attribute& attribute, hid_t type, const std::string& name,
              const std::string& path) {
  const bool number = attribute.kind == H5T_INTEGER || attribute.kind == H5T_FLOAT;
  if (!number || attribute.count != 1)
    throw local_input_error("attribute '{}' of '{}' is not a number", name, path);
  T value{};
  attribute.read(type, &value, name);
  return value;
}

}  // namespace

Id text_type(std::size_t bytes) {
  Id type(H5Tcopy(H5T_C_S1), H5Tclose, "H5Tcopy");
  check(H5Tset_size(type.get(), bytes), "H5Tset_size");
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "H5Tset_strpad");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset");
  return type;
}

std::string padded(const std::vector<std::string>& texts) {
  std::size_t longest = 1;
  for (const std::string& text : texts) longest = std::max(longest, text.size());
  std::string bytes;
  for (const std::string& text : texts) bytes += text + std::string(longest - text.size(), '\0');
  return texts.empty() ? std::string(1, '\0') : bytes;
}

void File::set(const std::string& object, const std::string& name, const Value& value) {
  Stored content = std::visit([](const auto& held) { return stored(held); }, value);
  if (comm_ != nullptr) {
    comm_->broadcast(content.bytes, 0);
    comm_->broadcast(content.count, 0);
  }
  const std::string what = fmt::format("write attribute '{}' of {} in '{}'", name, object, path_);
  together([&] {
    if (H5Aexists_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0)
      check(H5Adelete_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT), what);
    const Id type = type_of(content), space = space_of(content);
    const Id attribute(H5Acreate_by_name(id(), object.c_str(), name.c_str(), type.get(),
                                         space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                       H5Aclose, what);
    check(H5Awrite(attribute.get(), type.get(), content.bytes.data()), what);
  });
}

bool File::has_attribute(const std::string& object, const std::string& name) const {
  const bool found = H5Aexists_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
  clear_errors();
  return found;
}

std::vector<std::string> File::attributes(const std::string& object) const {
  std::vector<std::string> names;
  hsize_t position = 0;
  check(H5Aiterate_by_name(id(), object.c_str(), H5_INDEX_NAME, H5_ITER_INC, &position,
                           add_name<H5A_info_t>, &names, H5P_DEFAULT),
        fmt::format("list attributes of {} in '{}'", object, path_));
  return names;
}

std::vector<std::string> File::texts(const std::string& object, const std::string& name) const {
  const Attribute attribute = open_attribute(id(), path_, object, name);
  if (attribute.kind != H5T_STRING)
    throw local_input_error("attribute '{}' of '{}' is not text", name, path_);
  std::vector<std::string> texts;
  if (attribute.count == 0) return texts;
  const bool of_others = H5Tis_variable_str(attribute.type.get()) > 0;  // texts elsewhere
  std::vector<char> bytes(attribute.count * attribute.bytes);
  attribute.read(attribute.type.get(), bytes.data(), name);
  for (auto at = bytes.cbegin(); at != bytes.cend(); at += static_cast<long>(attribute.bytes)) {
    const auto end = at + static_cast<long>(attribute.bytes);
    if (of_others) {
      char* text = nullptr;
      std::memcpy(&text, &*at, sizeof(text));
      texts.emplace_back(text != nullptr ? text : "");
      H5free_memory(text);
    } else {
      texts.emplace_back(at, std::find(at, end, '\0'));
    }
  }
  return texts;
}

std::string File::text(const std::string& object, const std::string& name) const {
  const auto all = texts(object, name);
  if (all.size() != 1)
    throw local_input_error("attribute '{}' of '{}' is not one text", name, path_);
  return all.front();
}

std::optional<std::string> File::as_text(const std::string& object, const std::string& name) const {
  const Attribute attribute = open_attribute(id(), path_, object, name);
  if (attribute.count != 1) return std::nullopt;
  if (attribute.kind == H5T_STRING) return text(object, name);
  if (attribute.kind == H5T_INTEGER) return fmt::format("{}", integer(object, name));
  if (attribute.kind == H5T_FLOAT) return fmt::format("{}", number(object, name));
  if (attribute.kind == H5T_ENUM && attribute.bytes == 1) {  // h5py's truth values
    signed char value = 0;
    attribute.read(attribute.type.get(), &value, name);
    return value != 0 ? "true" : "false";
  }
  return std::nullopt;
}

double File::number(const std::string& object, const std::string& name) const {
  return read_number<double>(open_attribute(id(), path_, object, name), H5T_NATIVE_DOUBLE, name,
                             path_);
}

Index File::integer(const std::string& object, const std::string& name) const {
  return read_number<Index>(open_attribute(id(), path_, object, name), H5T_NATIVE_INT64, name,
                            path_);
}

}  // namespace deeppcr::io::hdf5
