#include "io/known_content.hpp"

#include <algorithm>
#include <array>

#include "deeppcr/core/error.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io {

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

namespace {

std::string path_of(const std::string& group, const std::string& member) {
  return (group == "/" ? "/" : group + "/") + member;
}

/// Another name of a known member, such as what a soft link leads to. What is there twice is one
/// object.
bool is_alias(const hdf5::File& file, const std::string& group, const std::string& member,
              const std::vector<std::string>& known) {
  const auto object = [&](const std::string& name) {
    H5O_info_t info{};
    const std::string path = path_of(group, name);
    if (file.has(path)) H5Oget_info_by_name(file.id(), path.c_str(), &info, H5P_DEFAULT);
    return info;
  };
  const H5O_info_t own = object(member);
  return std::any_of(known.begin(), known.end(), [&](const std::string& name) {
    const H5O_info_t other = object(name);
    return other.rc > 0 && other.fileno == own.fileno && other.addr == own.addr;
  });
}

/// Attributes that everybody may set.
const std::vector<std::string> kRemarks{
    // ours, in each file
    "format", "format_version", "program_version", "git_commit", "command_line", "options_set",
    "options_unused", "configuration", "library_versions", "ranks", "hosts", "start_time",
    // of those who describe their data
    "units", "long_name", "dimensions", "source", "note", "description", "title", "author",
    // HDF5's dimension scales
    "CLASS", "NAME", "DIMENSION_LIST", "DIMENSION_LABELS", "REFERENCE_LIST"};

std::vector<std::string> joined(std::vector<std::string> names,
                                const std::vector<std::string>& more) {
  for (const std::string& name : more)
    if (!holds(names, name)) names.push_back(name);
  return names;
}

}  // namespace

std::vector<std::string> chain_file_members() { return joined(kChainMembers, kSampleMembers); }
std::vector<std::string> cell_file_members() {
  return joined(joined({"cell", "head"}, kLayerOfCells), kSampleMembers);
}
std::vector<std::string> sample_file_members() {
  return joined(cell_file_members(), kChainMembers);
}

void require_known_members(const hdf5::File& file, const std::string& group,
                           const std::vector<std::string>& known, const std::string& what) {
  for (const std::string& member : file.children(group)) {
    if (holds(known, member)) continue;
    const std::string name = path_of(group, member);
    if (!file.has(name)) {
      throw local_input_error("'{}': {} is a link to what is not there", file.path(), name);
    }
    if (is_alias(file, group, member, known)) continue;
    throw local_input_error("'{}' has {}, which nothing here reads: {}; rename or remove it",
                            file.path(), name, what);
  }
}

std::vector<std::string> unknown_attributes(const hdf5::File& file, const std::string& object) {
  std::vector<std::string> unknown;
  for (const std::string& name : file.attributes(object))
    if (!holds(kRemarks, name)) unknown.push_back(name);
  return unknown;
}

std::vector<std::string> unknown_attributes_of_samples(const hdf5::File& file) {
  const std::vector<std::string> members = file.children("/");
  const bool alone = std::all_of(members.begin(), members.end(), [](const std::string& member) {
    return holds(kSampleMembers, member);
  });
  std::vector<std::string> unknown;
  if (alone) unknown = unknown_attributes(file, "/");
  for (const std::string& name : kSampleMembers) {
    const std::string object = "/" + name;
    if (!file.has(object)) continue;
    for (const std::string& attribute : unknown_attributes(file, object))
      unknown.push_back(fmt::format("{} of {}", attribute, object));
  }
  return unknown;
}

std::string text_of(const hdf5::Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

hdf5::Shape readable_shape(const hdf5::File& file, const std::string& name) {
  const hdf5::Shape shape = file.shape(name);
  const hdf5::Id dataset(H5Dopen2(file.id(), name.c_str(), H5P_DEFAULT), H5Dclose, name);
  const hdf5::Id properties(H5Dget_create_plist(dataset.get()), H5Pclose, "H5Dget_create_plist");
  if (H5Pget_layout(properties.get()) == H5D_VIRTUAL) {
    throw local_input_error(
        "{} in '{}' is a virtual dataset, whose parts lie in other files, and ranks cannot read "
        "those together; write its values into a file of their own",
        name, file.path());
  }
  for (int i = 0; i < H5Pget_nfilters(properties.get()); ++i) {
    std::size_t values = 0;
    unsigned flags = 0, config = 0;
    std::array<char, 64> text{};
    const H5Z_filter_t filter = H5Pget_filter2(properties.get(), static_cast<unsigned>(i), &flags,
                                               &values, nullptr, text.size(), text.data(), &config);
    if (filter >= 0 && H5Zfilter_avail(filter) > 0) continue;
    throw local_input_error(
        "{} in '{}' is compressed by filter {} ({}), which this HDF5 does not have; write it again "
        "with gzip, or without, where it was made",
        name, file.path(), filter, text.data());
  }
  return shape;
}

hdf5::Shape real_shape(const hdf5::File& file, const std::string& name) {
  const hdf5::Shape shape = readable_shape(file, name);
  if (file.kind(name) == hdf5::File::Kind::real) return shape;
  throw local_input_error("{} in '{}' must hold float32 or float64 numbers", name, file.path());
}

std::vector<Index> whole_numbers(const hdf5::File& file, const std::string& name,
                                 const std::vector<hdf5::Shape>& allowed,
                                 const std::string& wanted) {
  const hdf5::Shape sizes = readable_shape(file, name);
  const bool whole = file.kind(name) == hdf5::File::Kind::whole;
  if (whole && std::find(allowed.begin(), allowed.end(), sizes) != allowed.end())
    return file.read<Index>(name);
  throw local_input_error("{} in '{}' must be {}{}", name, file.path(), wanted,
                          whole ? "; its sizes are " + text_of(sizes) : "");
}

}  // namespace deeppcr::io
