#include <string>

#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

namespace {

constexpr std::size_t kIncrementBytes = std::size_t{64} << 10;

Id type_of(Numbers::Type type) {
  if (type == Numbers::Type::f64) return {H5Tcopy(H5T_IEEE_F64LE), H5Tclose, "H5Tcopy"};
  Id held(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "H5Tcopy");
  if (type == Numbers::Type::f32) return held;
  // sign, exponent and its size, mantissa and its size, in bits from the lowest
  const bool brain = type == Numbers::Type::bf16;
  check(brain ? H5Tset_fields(held.get(), 15, 7, 8, 0, 7)
              : H5Tset_fields(held.get(), 15, 10, 5, 0, 10),
        "H5Tset_fields");
  check(H5Tset_size(held.get(), 2), "H5Tset_size");
  check(H5Tset_ebias(held.get(), brain ? 127 : 15), "H5Tset_ebias");
  return held;
}

}  // namespace

File File::in_memory(const std::string& path) {
  silence_hdf5();
  File file(path, nullptr);
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  check(H5Pset_fapl_core(access.get(), kIncrementBytes, false), "H5Pset_fapl_core");
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110),
        "H5Pset_libver_bounds");
  static int number = 0;  // two open files need two names, even in memory
  const std::string name = fmt::format("deeppcr-in-memory-{}", number++);
  file.file_ = Id(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose,
                  fmt::format("look at '{}' in memory", path));
  return file;
}

void File::show(const std::string& name, const Numbers& numbers) {
  const Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "H5Pcreate");
  check(H5Pset_create_intermediate_group(links.get(), 1), "H5Pset_create_intermediate_group");
  const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate");
  if (numbers.bytes > 0) {
    check(H5Pset_external(properties.get(), numbers.file.c_str(), numbers.first_byte,
                          static_cast<hsize_t>(numbers.bytes)),
          "H5Pset_external");
  }
  const std::vector<hsize_t> sizes(numbers.shape.begin(), numbers.shape.end());
  const Id space(sizes.empty()
                     ? H5Screate(H5S_SCALAR)
                     : H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr),
                 H5Sclose, "H5Screate");
  const Id dataset(H5Dcreate2(id(), name.c_str(), type_of(numbers.type).get(), space.get(),
                              links.get(), properties.get(), H5P_DEFAULT),
                   H5Dclose, fmt::format("show {} of '{}'", name, path_));
}

}  // namespace deeppcr::io::hdf5
