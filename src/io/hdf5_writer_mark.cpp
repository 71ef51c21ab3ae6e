#include "deeppcr/io/hdf5_file.hpp"
#include "io/hdf5_detail.hpp"

namespace deeppcr::io::hdf5 {

void forget_writer(const std::string& path) {
  silence_hdf5();
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  // As HDF5's own h5clear does.
  const hbool_t forget = true;
  check(H5Pset(access.get(), "clear_status_flags", &forget), "H5Pset");
  const Id file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose, "open '" + path + "'");
}

}  // namespace deeppcr::io::hdf5
