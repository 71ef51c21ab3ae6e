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
  hid_t number = H5I_INVALID_HID;  ///< its type; none for texts
};

template <typename Number>
Stored stored_number(const Number& value, hid_t type) {
  return {{reinterpret_cast<const char*>(&value), sizeof(value)}, 1, false, type};
}

Stored stored(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return {padded({*text})};
  if (const auto* number = std::get_if<double>(&value))
    return stored_number(*number, H5T_IEEE_F64LE);
  if (const auto* number = std::get_if<Index>(&value)) return stored_number(*number, H5T_STD_I64LE);
  const auto& texts = std::get<std::vector<std::string>>(value);
  return {padded(texts), static_cast<Index>(texts.size()), true};
}

struct Attribute {
  std::string label;  ///< for messages
  Id handle;
  Id type;
  H5T_class_t kind = H5T_NO_CLASS;
  std::size_t count = 1;
  std::size_t bytes = 0;  ///< of an entry

  void read(hid_t memory_type, void* out) const {
    check(H5Aread(handle.get(), memory_type, out), "read " + label);
  }
  template <typename Number>
  Number number(hid_t memory_type) const {
    if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || count != 1)
      throw local_input_error("{} is not a number", label);
    Number value{};
    read(memory_type, &value);
    return value;
  }
};

Attribute open_attribute(hid_t file, const std::string& path, const std::string& object,
                         const std::string& name) {
  if (H5Aexists_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT) <= 0) {
    clear_errors();
    throw local_input_error("'{}' has no attribute '{}' on {}", path, name, object);
  }
  Attribute found;
  found.label = fmt::format("attribute '{}' of {} in '{}'", name, object, path);
  const std::string what = "read " + found.label;
  found.handle = Id(H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                    H5Aclose, what);
  found.type = Id(H5Aget_type(found.handle.get()), H5Tclose, what);
  found.kind = H5Tget_class(found.type.get());
  const Id space(H5Aget_space(found.handle.get()), H5Sclose, what);
  found.count = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get()));
  found.bytes = H5Tget_size(found.type.get());
  return found;
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
  Stored content = stored(value);
  if (comm_ != nullptr) {
    comm_->broadcast(content.bytes, 0);
    comm_->broadcast(content.count, 0);
  }
  const std::string what = fmt::format("write attribute '{}' of {} in '{}'", name, object, path_);
  together([&] {
    if (H5Aexists_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0)
      check(H5Adelete_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT), what);
    const auto count = static_cast<hsize_t>(content.count);
    const Id type = content.number >= 0
                        ? Id(H5Tcopy(content.number), H5Tclose, "H5Tcopy")
                        : text_type(content.bytes.size() / std::max<std::size_t>(count, 1));
    const Id space(content.is_list ? H5Screate_simple(1, &count, nullptr) : H5Screate(H5S_SCALAR),
                   H5Sclose, "H5Screate");
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
  if (attribute.kind != H5T_STRING) throw local_input_error("{} is not text", attribute.label);
  std::vector<std::string> texts;
  if (attribute.count == 0) return texts;
  const bool of_others = H5Tis_variable_str(attribute.type.get()) > 0;  // texts elsewhere
  std::vector<char> bytes(attribute.count * attribute.bytes);
  attribute.read(attribute.type.get(), bytes.data());
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
    throw local_input_error("attribute '{}' of {} in '{}' is not one text", name, object, path_);
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
    attribute.read(attribute.type.get(), &value);
    return value != 0 ? "true" : "false";
  }
  return std::nullopt;
}

double File::number(const std::string& object, const std::string& name) const {
  return open_attribute(id(), path_, object, name).number<double>(H5T_NATIVE_DOUBLE);
}

Index File::integer(const std::string& object, const std::string& name) const {
  return open_attribute(id(), path_, object, name).number<Index>(H5T_NATIVE_INT64);
}

}  // namespace deeppcr::io::hdf5
