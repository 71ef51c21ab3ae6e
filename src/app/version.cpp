#include "app/version.hpp"

#include <fmt/format.h>

#include "app/storage.hpp"
#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

std::string version_text() {
  const std::string no_files = storage::unavailable();
  return fmt::format("deeppcr {}\nPETSc {}, {}-bit indices\n{}\n{}\nBLAS: {}\nsmall products: {}\n",
                     storage::program_version(), parallel::petsc_version(),
                     parallel::petsc_index_bits(), parallel::mpi_version(),
                     no_files.empty() ? storage::library_version() : "HDF5: " + no_files,
                     blocks::blas_library(), blocks::gemm_library());
}

}  // namespace deeppcr::app
