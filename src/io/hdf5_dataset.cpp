#include <algorithm>
#include <optional>

#include "deeppcr/core/error.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

namespace {

/// MPI-IO counts bytes of one call in 32 bits.
constexpr Index kPieceBytes = Index{1} << 30;
constexpr Index kMaxRowBytes = (Index{1} << 31) - 1;
constexpr Index kChunkBytes = 8192;
/// Chunk size along a growing axis that starts at 0.
constexpr hsize_t kGrowingAxisChunk = 16;

struct Types {
  hid_t memory;
  hid_t file;
};
template <typename T>
Types types_of();
template <>
Types types_of<double>() {
  return {H5T_NATIVE_DOUBLE, H5T_IEEE_F64LE};
}
template <>
Types types_of<float>() {
  return {H5T_NATIVE_FLOAT, H5T_IEEE_F32LE};
}
template <>
Types types_of<Index>() {
  return {H5T_NATIVE_INT64, H5T_STD_I64LE};
}
template <>
Types types_of<int>() {
  return {H5T_NATIVE_INT, H5T_STD_I32LE};
}
template <>
Types types_of<unsigned char>() {
  return {H5T_NATIVE_UCHAR, H5T_STD_U8LE};
}

std::vector<hsize_t> unsigned_sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

Index row_entries(const Shape& shape) {
  Index count = 1;
  for (std::size_t a = 1; a < shape.size(); ++a) count *= shape[a];
  return count;
}

Id simple_space(const Shape& shape) {
  if (shape.empty()) return {H5Screate(H5S_SCALAR), H5Sclose, "H5Screate"};
  const auto sizes = unsigned_sizes(shape);
  return {H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose,
          "H5Screate_simple"};
}

Shape shape_of(hid_t dataset) {
  const Id space(H5Dget_space(dataset), H5Sclose, "H5Dget_space");
  const int rank = H5Sget_simple_extent_ndims(space.get());
  std::vector<hsize_t> sizes(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank > 0) check(H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr), "read sizes");
  return {sizes.begin(), sizes.end()};
}

Id open_dataset(hid_t file, const std::string& path, const std::string& name) {
  const hid_t dataset = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
  if (dataset < 0) {
    clear_errors();
    throw local_input_error("'{}' has no dataset {}", path, name);
  }
  return {dataset, H5Dclose, name};
}

H5T_class_t class_of(const Id& dataset) {
  const Id type(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type");
  return H5Tget_class(type.get());
}

Id collective_transfer(bool collective) {
  Id properties(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "H5Pcreate");
  if (collective) {
    check(H5Pset_dxpl_mpio(properties.get(), H5FD_MPIO_COLLECTIVE), "H5Pset_dxpl_mpio");
  }
  return properties;
}

template <typename T>
herr_t move(hid_t dataset, hid_t memory, hid_t file, hid_t properties, T* data) {
  if constexpr (std::is_const_v<T>) {
    return H5Dwrite(dataset, types_of<std::remove_const_t<T>>().memory, memory, file, properties,
                    data);
  } else {
    return H5Dread(dataset, types_of<T>().memory, memory, file, properties, data);
  }
}

/// Selects the rows of a set: its ranges but the last, which are alike, and then the last.
void select_rows(hid_t space, const Shape& shape, const StepSet& rows) {
  std::vector<hsize_t> start(shape.size(), 0), stride(shape.size(), 1), count(shape.size(), 1);
  std::vector<hsize_t> block = unsigned_sizes(shape);
  const Index ranges = rows.num_ranges();
  const auto select = [&](H5S_seloper_t how, StepRange first, Index how_many) {
    start[0] = static_cast<hsize_t>(first.first);
    block[0] = static_cast<hsize_t>(first.size());
    count[0] = static_cast<hsize_t>(how_many);
    check(H5Sselect_hyperslab(space, how, start.data(), stride.data(), count.data(), block.data()),
          "H5Sselect_hyperslab");
  };
  if (ranges > 1) {
    stride[0] = static_cast<hsize_t>(rows.range(1).first - rows.range(0).first);
    select(H5S_SELECT_SET, rows.range(0), ranges - 1);
  }
  select(ranges > 1 ? H5S_SELECT_OR : H5S_SELECT_SET, rows.range(ranges - 1), 1);
}

/// Moves rows; no rows select nothing, which a collective call needs.
template <typename T>
void move_rows(hid_t dataset, const Shape& shape, const Rows<T>& part, hid_t properties) {
  static std::remove_const_t<T> nothing{};
  const Index rows = part.rows.size();
  const Id in_file(H5Dget_space(dataset), H5Sclose, "H5Dget_space");
  Shape slab = shape;
  if (!slab.empty()) slab[0] = std::max<Index>(rows, 1);
  const Id in_memory = simple_space(slab);
  if (rows == 0) {
    check(H5Sselect_none(in_file.get()), "H5Sselect_none");
    check(H5Sselect_none(in_memory.get()), "H5Sselect_none");
  } else if (!shape.empty()) {
    select_rows(in_file.get(), shape, part.rows);
  }
  T* data = rows == 0 ? &nothing : part.data;
  check(move<T>(dataset, in_memory.get(), in_file.get(), properties, data),
        std::is_const_v<T> ? "write" : "read");
}

/// The pieces cut to at most kPieceBytes each.
template <typename T>
std::vector<Rows<T>> cut(const std::vector<Rows<T>>& pieces, const Shape& shape) {
  const Index entries = row_entries(shape);
  const Index row_bytes = std::max<Index>(entries, 1) * static_cast<Index>(sizeof(T));
  const Index rows_at_once = std::max<Index>(1, kPieceBytes / row_bytes);
  const Index total = shape.empty() ? 1 : shape[0];
  DEEPPCR_ASSERT(row_bytes <= kMaxRowBytes, "a row of {} bytes", row_bytes);
  std::vector<Rows<T>> out;
  for (const Rows<T>& piece : pieces) {
    const Index held = piece.rows.size();
    const Index first = held == 0 ? 0 : piece.rows.step(0);
    const Index span = held == 0 ? 0 : piece.rows.step(held - 1) + 1 - first;
    DEEPPCR_ASSERT(first >= 0 && first + span <= total, "rows {} + {} of {}", first, span, total);
    T* data = piece.data;
    for (const StepSet& rows : piece.rows.cut(rows_at_once)) {
      out.emplace_back(rows, data);
      data += rows.size() * entries;
    }
  }
  return out;
}

std::string parent(const std::string& name) {
  const auto slash = name.rfind('/');
  return slash == std::string::npos || slash == 0 ? "" : name.substr(0, slash);
}

}  // namespace

Shape File::shape(const std::string& name) const {
  return shape_of(open_dataset(id(), path_, name).get());
}

bool File::is_floating(const std::string& name) const {
  const Id dataset = open_dataset(id(), path_, name);
  const Id type(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type");
  return H5Tget_class(type.get()) == H5T_FLOAT && H5Tget_size(type.get()) <= sizeof(double);
}

bool File::is_whole(const std::string& name) const {
  const H5T_class_t found = class_of(open_dataset(id(), path_, name));
  return found == H5T_INTEGER || found == H5T_ENUM;
}

bool File::is_text(const std::string& name) const {
  return class_of(open_dataset(id(), path_, name)) == H5T_STRING;
}

Id File::create_dataset(const std::string& name, hid_t type, const Shape& shape) {
  const std::string group = parent(name);
  if (!group.empty() && !has(group)) create_group(group);
  Id dataset;
  together([&] {
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate");
    // Every entry is written by some rank, so filling first would only double the work.
    check(H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time");
    const Id space = simple_space(shape);
    dataset = Id(H5Dcreate2(id(), name.c_str(), type, space.get(), H5P_DEFAULT, properties.get(),
                            H5P_DEFAULT),
                 H5Dclose, fmt::format("create dataset {} in '{}'", name, path_));
    if (comm_ != nullptr && comm_->is_root()) {
      const haddr_t start = H5Dget_offset(dataset.get());
      const auto bytes = static_cast<Index>(H5Dget_storage_size(dataset.get()));
      clear_errors();  // a dataset without entries has no place
      if (start != HADDR_UNDEF) {
        reserve(path_, static_cast<Index>(start) + bytes + kMetadataBytes);
      }
    }
  });
  return dataset;
}

template <typename T>
void File::transfer(hid_t dataset, const std::string& name,
                    const std::vector<Rows<T>>& pieces) const {
  const Shape shape = shape_of(dataset);
  std::vector<Rows<T>> parts;
  together([&] { parts = cut(pieces, shape); });
  if (row_entries(shape) == 0 || (!shape.empty() && shape[0] == 0)) return;
  const Id properties = collective_transfer(comm_ != nullptr);
  Index rounds = static_cast<Index>(parts.size());
  if (comm_ != nullptr) rounds = comm_->max(rounds);
  parts.resize(static_cast<std::size_t>(rounds));
  together([&] {
    // A rank that fails still takes part in all rounds: the others would wait for it.
    std::optional<Error> failed;
    for (const Rows<T>& part : parts) {
      try {
        move_rows(dataset, shape, part, properties.get());
      } catch (const Error& error) {
        if (!failed) failed = error;
      }
    }
    if (!failed) return;
    // What cannot be read is the file's fault, what cannot be written the disk's.
    if constexpr (std::is_const_v<T>) {
      throw internal_error("dataset {} of '{}': {}", name, path_, failed->what());
    } else {
      throw local_input_error("dataset {} of '{}': {}", name, path_, failed->what());
    }
  });
}

template <typename T>
void File::write(const std::string& name, const Shape& shape, const T* data,
                 const Description& about) {
  const bool writes = comm_ == nullptr || comm_->is_root();
  const Index rows = shape.empty() ? 1 : shape[0];
  write_rows<T>(name, shape, {{0, writes ? rows : 0, data}}, about);
}

template <typename T>
void File::write_rows(const std::string& name, const Shape& shape,
                      const std::vector<Rows<const T>>& pieces, const Description& about) {
  Id dataset = create_dataset(name, types_of<T>().file, shape);
  transfer<const T>(dataset.get(), name, pieces);
  // Closing writes what HDF5 still holds, so it can fail as well.
  together([&] { check(dataset.reset(), fmt::format("write {} of '{}'", name, path_)); });
  describe(name, about);
}

template <typename T>
std::vector<T> File::read(const std::string& name) const {
  const Shape sizes = shape(name);
  const Index rows = sizes.empty() ? 1 : sizes[0];
  std::vector<T> values(static_cast<std::size_t>(rows * row_entries(sizes)));
  read_rows<T>(name, {{0, rows, values.data()}});
  return values;
}

template <typename T>
void File::read_rows(const std::string& name, const std::vector<Rows<T>>& pieces) const {
  Id dataset;
  together([&] { dataset = open_dataset(id(), path_, name); });
  transfer<T>(dataset.get(), name, pieces);
}

template <typename T>
void File::read_rows_alone(const std::string& name, const Rows<T>& rows) const {
  const Id dataset = open_dataset(id(), path_, name);
  const Shape sizes = shape_of(dataset.get());
  const Id properties = collective_transfer(false);
  for (const Rows<T>& part : cut(std::vector<Rows<T>>{rows}, sizes)) {
    move_rows(dataset.get(), sizes, part, properties.get());
  }
}

template <typename T>
void File::create_extendible(const std::string& name, const Shape& row, const Description& about) {
  const std::string group = parent(name);
  if (!group.empty() && !has(group)) create_group(group);
  std::vector<hsize_t> sizes{0};
  std::vector<hsize_t> most{H5S_UNLIMITED};
  std::vector<hsize_t> chunk{1};
  Index chunk_entries = 1;
  for (const Index entries : row) {
    sizes.push_back(static_cast<hsize_t>(entries));
    most.push_back(entries == 0 ? H5S_UNLIMITED : static_cast<hsize_t>(entries));
    chunk.push_back(entries == 0 ? kGrowingAxisChunk : static_cast<hsize_t>(entries));
    chunk_entries *= static_cast<Index>(chunk.back());
  }
  chunk[0] = static_cast<hsize_t>(
      std::max<Index>(1, kChunkBytes / (chunk_entries * static_cast<Index>(sizeof(T)))));
  together([&] {
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate");
    const int rank = static_cast<int>(sizes.size());
    check(H5Pset_chunk(properties.get(), rank, chunk.data()), "H5Pset_chunk");
    const Id space(H5Screate_simple(rank, sizes.data(), most.data()), H5Sclose, "H5Screate_simple");
    const Id dataset(H5Dcreate2(id(), name.c_str(), types_of<T>().file, space.get(), H5P_DEFAULT,
                                properties.get(), H5P_DEFAULT),
                     H5Dclose, fmt::format("create dataset {} in '{}'", name, path_));
  });
  describe(name, about);
}

template <typename T>
void File::append(const std::string& name, Index count, const Shape& row, const T* data) {
  const std::string what = fmt::format("append to {} of '{}'", name, path_);
  Id dataset = open_dataset(id(), path_, name);
  const Shape old = shape_of(dataset.get());
  DEEPPCR_ASSERT(old.size() == row.size() + 1, "{} axes, {} given", old.size(), row.size() + 1);
  std::vector<hsize_t> grown{static_cast<hsize_t>(old[0] + count)};
  std::vector<hsize_t> start(old.size(), 0);
  start[0] = static_cast<hsize_t>(old[0]);
  std::vector<hsize_t> slab{static_cast<hsize_t>(count)};
  for (std::size_t a = 0; a < row.size(); ++a) {
    grown.push_back(static_cast<hsize_t>(std::max(old[a + 1], row[a])));
    slab.push_back(static_cast<hsize_t>(row[a]));
  }
  check(H5Dset_extent(dataset.get(), grown.data()), what);
  if (std::count(slab.begin(), slab.end(), hsize_t{0}) > 0) return;
  const Id in_memory(H5Screate_simple(static_cast<int>(slab.size()), slab.data(), nullptr),
                     H5Sclose, what);
  const Id in_file(H5Dget_space(dataset.get()), H5Sclose, what);
  check(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, start.data(), nullptr, slab.data(),
                            nullptr),
        what);
  check(H5Dwrite(dataset.get(), types_of<T>().memory, in_memory.get(), in_file.get(), H5P_DEFAULT,
                 data),
        what);
  check(dataset.reset(), what);
}

#define DEEPPCR_INSTANTIATE(T)                                                                    \
  template void File::write<T>(const std::string&, const Shape&, const T*, const Description&);   \
  template void File::write_rows<T>(const std::string&, const Shape&,                             \
                                    const std::vector<Rows<const T>>&, const Description&);       \
  template std::vector<T> File::read<T>(const std::string&) const;                                \
  template void File::read_rows<T>(const std::string&, const std::vector<Rows<T>>&) const;        \
  template void File::read_rows_alone<T>(const std::string&, const Rows<T>&) const;               \
  template void File::create_extendible<T>(const std::string&, const Shape&, const Description&); \
  template void File::append<T>(const std::string&, Index, const Shape&, const T*);
DEEPPCR_INSTANTIATE(double)
DEEPPCR_INSTANTIATE(float)
DEEPPCR_INSTANTIATE(Index)
DEEPPCR_INSTANTIATE(int)
DEEPPCR_INSTANTIATE(unsigned char)
#undef DEEPPCR_INSTANTIATE

}  // namespace deeppcr::io::hdf5
