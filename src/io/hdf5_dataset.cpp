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
constexpr Index kGrowingAxisChunk = 16;

struct Types {
  hid_t memory;
  hid_t file;
};
template <typename T>
Types types_of() {
  if constexpr (std::is_same_v<T, double>) return {H5T_NATIVE_DOUBLE, H5T_IEEE_F64LE};
  if constexpr (std::is_same_v<T, float>) return {H5T_NATIVE_FLOAT, H5T_IEEE_F32LE};
  if constexpr (std::is_same_v<T, Index>) return {H5T_NATIVE_INT64, H5T_STD_I64LE};
  if constexpr (std::is_same_v<T, int>) return {H5T_NATIVE_INT, H5T_STD_I32LE};
  if constexpr (std::is_same_v<T, unsigned char>) return {H5T_NATIVE_UCHAR, H5T_STD_U8LE};
}

std::vector<hsize_t> unsigned_sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

/// `growing`: axes of size 0 are without limit.
Id simple_space(const Shape& shape, bool growing = false) {
  if (shape.empty()) return {H5Screate(H5S_SCALAR), H5Sclose, "H5Screate"};
  const std::vector<hsize_t> sizes = unsigned_sizes(shape);
  std::vector<hsize_t> most = sizes;
  if (growing) std::replace(most.begin(), most.end(), hsize_t{0}, H5S_UNLIMITED);
  return {H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), most.data()), H5Sclose,
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
  const hid_t type = types_of<std::remove_const_t<T>>().memory;
  if constexpr (std::is_const_v<T>) {
    check(H5Dwrite(dataset, type, in_memory.get(), in_file.get(), properties, data), "write");
  } else {
    check(H5Dread(dataset, type, in_memory.get(), in_file.get(), properties, data), "read");
  }
}

/// The pieces cut to at most kPieceBytes each, or to single rows where those are larger, which one
/// rank alone can move.
template <typename T>
std::vector<Rows<T>> cut(const std::vector<Rows<T>>& pieces, const Shape& shape, bool alone) {
  const Index entries = row_entries(shape);
  const Index row_bytes = std::max<Index>(entries, 1) * static_cast<Index>(sizeof(T));
  const Index rows_at_once = std::max<Index>(1, kPieceBytes / row_bytes);
  const Index total = shape.empty() ? 1 : shape[0];
  DEEPPCR_ASSERT(alone || row_bytes <= kMaxRowBytes, "a row of {} bytes", row_bytes);
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

}  // namespace

Shape File::shape(const std::string& name) const {
  return shape_of(open_dataset(id(), path_, name).get());
}

File::Kind File::kind(const std::string& name) const {
  const Id dataset = open_dataset(id(), path_, name);
  const Id type(H5Dget_type(dataset.get()), H5Tclose, "H5Dget_type");
  const H5T_class_t held = H5Tget_class(type.get());
  if (held == H5T_STRING) return Kind::text;
  if (held == H5T_INTEGER || held == H5T_ENUM) return Kind::whole;
  const bool fits = held == H5T_FLOAT && H5Tget_size(type.get()) <= sizeof(double);
  return fits ? Kind::real : Kind::other;
}

Id File::create_dataset(const std::string& name, hid_t type, const Shape& shape,
                        const Shape& chunk) {
  Id dataset;
  together([&] {
    const Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "H5Pcreate");
    check(H5Pset_create_intermediate_group(links.get(), 1), "H5Pset_create_intermediate_group");
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate");
    if (chunk.empty()) {
      // Every entry is written by some rank, so filling first would only double the work.
      check(H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time");
    } else {
      const std::vector<hsize_t> sizes = unsigned_sizes(chunk);
      check(H5Pset_chunk(properties.get(), static_cast<int>(sizes.size()), sizes.data()),
            "H5Pset_chunk");
    }
    const Id space = simple_space(shape, !chunk.empty());
    dataset = Id(H5Dcreate2(id(), name.c_str(), type, space.get(), links.get(), properties.get(),
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

void File::describe(const std::string& name, const Description& about) {
  set(name, "long_name", about.long_name);
  set(name, "dimensions", about.dimensions);
  if (!about.units.empty()) set(name, "units", about.units);
}

template <typename T>
void File::transfer(hid_t dataset, const std::string& name,
                    const std::vector<Rows<T>>& pieces) const {
  const Shape shape = shape_of(dataset);
  std::vector<Rows<T>> parts;
  together([&] { parts = cut(pieces, shape, comm_ == nullptr); });
  if (row_entries(shape) == 0 || (!shape.empty() && shape[0] == 0)) return;
  const Id properties(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "H5Pcreate");
  if (comm_ != nullptr)
    check(H5Pset_dxpl_mpio(properties.get(), H5FD_MPIO_COLLECTIVE), "H5Pset_dxpl_mpio");
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
  const Index rows = shape.empty() ? 1 : shape[0];
  write_rows<T>(name, shape, {{0, is_first() ? rows : 0, data}}, about);
}

template <typename T>
void File::write_rows(const std::string& name, const Shape& shape,
                      const std::vector<Rows<const T>>& pieces, const Description& about) {
  Id dataset = create_dataset(name, types_of<T>().file, shape, {});
  transfer<const T>(dataset.get(), name, pieces);
  // Closing writes what HDF5 still holds, so it can fail as well.
  together([&] { check(dataset.reset(), fmt::format("write {} of '{}'", name, path_)); });
  describe(name, about);
}

template <typename T>
void File::write_rows(const std::string& name, const Shape& shape, const MadeRows<T>& made,
                      const Description& about) {
  Id dataset = create_dataset(name, types_of<T>().file, shape, {});
  std::vector<StepSet> parts = made.rows.cut(made.at_once);
  if (comm_ != nullptr)  // all ranks take part in each round
    parts.resize(static_cast<std::size_t>(comm_->max(static_cast<Index>(parts.size()))));
  std::vector<T> values(
      static_cast<std::size_t>(std::min(made.at_once, made.rows.size()) * row_entries(shape)));
  Index first = 0;
  for (const StepSet& part : parts) {
    made.make(first, part.size(), values.data());
    transfer<const T>(dataset.get(), name, {{part, values.data()}});
    first += part.size();
  }
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

void File::create_extendible(const std::string& name, Kind kind, const Shape& row,
                             const Description& about) {
  Shape shape{0}, chunk{1};
  Index row_bytes = static_cast<Index>(sizeof(double));
  for (const Index entries : row) {
    shape.push_back(entries);
    chunk.push_back(entries == 0 ? kGrowingAxisChunk : entries);
    row_bytes *= chunk.back();
  }
  chunk[0] = std::max<Index>(1, kChunkBytes / row_bytes);
  const Types types = kind == Kind::whole ? types_of<Index>() : types_of<double>();
  create_dataset(name, types.file, shape, chunk);
  describe(name, about);
}

void File::append(const std::string& name, Index count, const Shape& row, const double* data) {
  Id dataset = open_dataset(id(), path_, name);
  const Shape old = shape_of(dataset.get());
  Shape grown{old[0] + count};
  grown.insert(grown.end(), row.begin(), row.end());
  const bool fits = std::equal(old.begin(), old.end(), grown.begin(), grown.end(),
                               [](Index before, Index now) { return before <= now; });
  DEEPPCR_ASSERT(fits, "{} [{}] cannot become [{}]", name, fmt::join(old, ", "),
                 fmt::join(grown, ", "));
  const std::string what = fmt::format("append to {} of '{}'", name, path_);
  check(H5Dset_extent(dataset.get(), unsigned_sizes(grown).data()), what);
  if (count * row_entries(grown) == 0) return;
  move_rows(dataset.get(), grown, Rows<const double>{old[0], count, data}, H5P_DEFAULT);
  check(dataset.reset(), what);
}

#define DEEPPCR_INSTANTIATE(T)                                                                  \
  template void File::write<T>(const std::string&, const Shape&, const T*, const Description&); \
  template void File::write_rows<T>(const std::string&, const Shape&,                           \
                                    const std::vector<Rows<const T>>&, const Description&);     \
  template void File::write_rows<T>(const std::string&, const Shape&, const MadeRows<T>&,       \
                                    const Description&);                                        \
  template std::vector<T> File::read<T>(const std::string&) const;                              \
  template void File::read_rows<T>(const std::string&, const std::vector<Rows<T>>&) const;
DEEPPCR_INSTANTIATE(double)
DEEPPCR_INSTANTIATE(float)
DEEPPCR_INSTANTIATE(Index)
DEEPPCR_INSTANTIATE(int)
DEEPPCR_INSTANTIATE(unsigned char)
#undef DEEPPCR_INSTANTIATE

}  // namespace deeppcr::io::hdf5
