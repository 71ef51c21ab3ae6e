#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

namespace {

/// Text of fixed length: unlike variable length it is covered by HDF5's checksums and may be
/// changed in place.
Id text_type(std::size_t bytes) {
  Id type(H5Tcopy(H5T_C_S1), H5Tclose, "H5Tcopy");
  check(H5Tset_size(type.get(), std::max<std::size_t>(bytes, 1)), "H5Tset_size");
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "H5Tset_strpad");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset");
  return type;
}

Id scalar_space() { return {H5Screate(H5S_SCALAR), H5Sclose, "H5Screate"}; }

Id vector_space(std::size_t count) {
  const hsize_t size = count;
  return {H5Screate_simple(1, &size, nullptr), H5Sclose, "H5Screate_simple"};
}

struct Attribute {
  Id handle;
  Id type;
  Index count = 1;
  std::size_t bytes = 0;
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
  const Id space(H5Aget_space(found.handle.get()), H5Sclose, what);
  found.count = H5Sget_simple_extent_npoints(space.get());
  found.bytes = H5Tget_size(found.type.get());
  return found;
}

template <typename T>
T read_number(const Attribute& attribute, hid_t type, const std::string& name,
              const std::string& path) {
  const H5T_class_t kind = H5Tget_class(attribute.type.get());
  if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || attribute.count != 1) {
    throw local_input_error("attribute '{}' of '{}' is not a number", name, path);
  }
  T value{};
  check(H5Aread(attribute.handle.get(), type, &value), fmt::format("read attribute '{}'", name));
  return value;
}

std::vector<std::string> split_variable(const Attribute& attribute, const std::string& name) {
  if (attribute.count == 0) return {};
  std::vector<char*> pointers(static_cast<std::size_t>(attribute.count), nullptr);
  check(H5Aread(attribute.handle.get(), attribute.type.get(), pointers.data()),
        fmt::format("read attribute '{}'", name));
  std::vector<std::string> out;
  for (char* text : pointers) {
    out.emplace_back(text != nullptr ? text : "");
    H5free_memory(text);
  }
  return out;
}

std::vector<std::string> split_fixed(const Attribute& attribute, const std::string& name) {
  if (attribute.count == 0) return {};
  const auto count = static_cast<std::size_t>(attribute.count);
  std::vector<char> bytes(count * attribute.bytes);
  check(H5Aread(attribute.handle.get(), attribute.type.get(), bytes.data()),
        fmt::format("read attribute '{}'", name));
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) {
    const char* first = bytes.data() + i * attribute.bytes;
    out.emplace_back(first, std::find(first, first + attribute.bytes, '\0'));
  }
  return out;
}

/// Texts one after another, each padded to the same length.
std::vector<char> padded(const std::vector<std::string>& texts, std::size_t bytes) {
  std::vector<char> out(std::max<std::size_t>(texts.size() * bytes, 1), '\0');
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::copy_n(texts[i].data(), std::min(bytes, texts[i].size()),
                out.begin() + static_cast<std::ptrdiff_t>(i * bytes));
  }
  return out;
}

}  // namespace

void File::set_raw(const std::string& object, const std::string& name, hid_t type, hid_t space,
                   const void* value) {
  const std::string what = fmt::format("write attribute '{}' of {} in '{}'", name, object, path_);
  together([&] {
    if (H5Aexists_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0) {
      const Id old(H5Aopen_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose, what);
      const Id old_type(H5Aget_type(old.get()), H5Tclose, what);
      const Id old_space(H5Aget_space(old.get()), H5Sclose, what);
      if (H5Tequal(old_type.get(), type) > 0 && H5Sextent_equal(old_space.get(), space) > 0) {
        check(H5Awrite(old.get(), type, value), what);
        return;
      }
      check(H5Adelete_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT), what);
    }
    const Id fresh(H5Acreate_by_name(id(), object.c_str(), name.c_str(), type, space, H5P_DEFAULT,
                                     H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose, what);
    check(H5Awrite(fresh.get(), type, value), what);
  });
}

void File::set(const std::string& object, const std::string& name, const std::string& value) {
  std::string text = value;
  if (comm_ != nullptr) comm_->broadcast(text, 0);
  const Id type = text_type(text.size());
  const Id space = scalar_space();
  set_raw(object, name, type.get(), space.get(),
          padded({text}, std::max<std::size_t>(text.size(), 1)).data());
}

void File::set(const std::string& object, const std::string& name, double value) {
  if (comm_ != nullptr) comm_->broadcast(&value, 1, 0);
  const Id space = scalar_space();
  set_raw(object, name, H5T_IEEE_F64LE, space.get(), &value);
}

void File::set(const std::string& object, const std::string& name, Index value) {
  if (comm_ != nullptr) comm_->broadcast(value, 0);
  const Id space = scalar_space();
  set_raw(object, name, H5T_STD_I64LE, space.get(), &value);
}

void File::set(const std::string& object, const std::string& name,
               const std::vector<std::string>& value) {
  std::vector<std::string> texts = value;
  if (comm_ != nullptr) {
    Index count = static_cast<Index>(texts.size());
    comm_->broadcast(count, 0);
    texts.resize(static_cast<std::size_t>(count));
    for (std::string& text : texts) comm_->broadcast(text, 0);
  }
  std::size_t bytes = 1;
  for (const std::string& text : texts) bytes = std::max(bytes, text.size());
  const Id type = text_type(bytes);
  const Id space = vector_space(texts.size());
  set_raw(object, name, type.get(), space.get(), padded(texts, bytes).data());
}

void File::set(const std::string& object, const std::string& name,
               const std::vector<Index>& value) {
  std::vector<Index> numbers = value;
  if (comm_ != nullptr) {
    Index count = static_cast<Index>(numbers.size());
    comm_->broadcast(count, 0);
    numbers.resize(static_cast<std::size_t>(count));
    for (Index& number : numbers) comm_->broadcast(number, 0);
  }
  const Id space = vector_space(numbers.size());
  numbers.reserve(1);  // data() of an empty vector may be null
  set_raw(object, name, H5T_STD_I64LE, space.get(), numbers.data());
}

bool File::has_attribute(const std::string& object, const std::string& name) const {
  const bool found = H5Aexists_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
  clear_errors();
  return found;
}

std::vector<std::string> File::attributes(const std::string& object) const {
  std::vector<std::string> names;
  const auto visit = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  hsize_t position = 0;
  check(H5Aiterate_by_name(id(), object.c_str(), H5_INDEX_NAME, H5_ITER_INC, &position, visit,
                           &names, H5P_DEFAULT),
        fmt::format("list attributes of {} in '{}'", object, path_));
  return names;
}

std::vector<std::string> File::texts(const std::string& object, const std::string& name) const {
  const Attribute attribute = open_attribute(id(), path_, object, name);
  if (H5Tget_class(attribute.type.get()) != H5T_STRING) {
    throw local_input_error("attribute '{}' of '{}' is not text", name, path_);
  }
  return H5Tis_variable_str(attribute.type.get()) > 0 ? split_variable(attribute, name)
                                                      : split_fixed(attribute, name);
}

std::string File::text(const std::string& object, const std::string& name) const {
  const auto all = texts(object, name);
  if (all.size() != 1) {
    throw local_input_error("attribute '{}' of '{}' is not one text", name, path_);
  }
  return all.front();
}

std::optional<std::string> File::as_text(const std::string& object, const std::string& name) const {
  const Attribute attribute = open_attribute(id(), path_, object, name);
  const H5T_class_t kind = H5Tget_class(attribute.type.get());
  if (attribute.count != 1) return std::nullopt;
  if (kind == H5T_STRING) return text(object, name);
  if (kind == H5T_INTEGER) return fmt::format("{}", integer(object, name));
  if (kind == H5T_FLOAT) return fmt::format("{}", number(object, name));
  if (kind == H5T_ENUM) {  // h5py's truth values
    signed char value = 0;
    if (attribute.bytes == 1 && H5Aread(attribute.handle.get(), attribute.type.get(), &value) >= 0)
      return value != 0 ? "true" : "false";
    clear_errors();
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

void File::describe(const std::string& name, const Description& about) {
  set(name, "long_name", about.long_name);
  set(name, "dimensions", about.dimensions);
  if (!about.units.empty()) set(name, "units", about.units);
}

}  // namespace deeppcr::io::hdf5
