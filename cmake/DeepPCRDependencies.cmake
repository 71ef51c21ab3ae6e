# Everything the build needs from outside. Each dependency is one imported target.
find_package(PkgConfig REQUIRED)
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI REQUIRED COMPONENTS C)

# Debian's 64-bit build stands beside the 32-bit one under another name. Elsewhere (Spack, a cluster's module) there is one
# PETSc, whatever its index size, and the option stays off.
if(DEEPPCR_PETSC64)
  set(DEEPPCR_PETSC_MODULE PETSc64 petsc64)
else()
  set(DEEPPCR_PETSC_MODULE PETSc petsc)
endif()
pkg_search_module(PETSC REQUIRED IMPORTED_TARGET ${DEEPPCR_PETSC_MODULE})

find_package(BLAS REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)

find_package(Boost 1.70 REQUIRED COMPONENTS program_options)

if(DEEPPCR_SIMULATOR)
  # Another PETSc would be linked without a word, and its ranks would know nothing of each other.
  if(NOT PETSC_INCLUDE_DIRS MATCHES "smpi")
    message(FATAL_ERROR "PETSc in ${PETSC_PREFIX} was not built for SimGrid's MPI. job_scripts/simulate.sh builds such a "
                        "one, and sets PKG_CONFIG_PATH to its lib/pkgconfig.")
  endif()
  target_link_libraries(PkgConfig::PETSC INTERFACE ${BLAS_LIBRARIES} ${CMAKE_DL_LIBS} m)  # a static library
  return()
endif()

enable_language(C)
set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
if(NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "HDF5 was found without MPI support. Install the parallel build "
                      "(Debian: libhdf5-openmpi-dev).")
endif()
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
if(DEEPPCR_WAV)
  pkg_check_modules(SNDFILE IMPORTED_TARGET sndfile)
endif()
add_feature_info(WAV "SNDFILE_FOUND" "recordings as --input, by libsndfile")

find_package(nlohmann_json REQUIRED)
