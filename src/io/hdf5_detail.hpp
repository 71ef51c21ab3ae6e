#pragma once

#include <hdf5.h>

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::io::hdf5 {

/// Keeps HDF5 from printing its error stack to stderr.
void silence_hdf5();

/// HDF5's innermost message of the last failed call, with the system's reason; clears the stack.
std::string take_error_text();
void clear_errors();

/// @throws Error "cannot <what>: <HDF5's text>"
[[noreturn]] void fail(const std::string& what);

/// Takes the disk's room for the first `bytes` of a file, which is there. @throws Error with the
/// system's reason
///
/// A collective write that meets a full disk on one rank may never end on the others (seen with
/// OpenMPI's own MPI-IO), so it must not happen. Where the file system cannot reserve, its free
/// space is looked at.
void reserve(const std::string& path, Index bytes);

/// Takes away the mark that a writer has set and a killed one has left, which keeps a file from
/// being changed. @pre nobody writes the file
void forget_writer(const std::string& path);

/// Room for what HDF5 writes beside the data: structures and attributes.
constexpr Index kMetadataBytes = Index{128} << 10;

inline void check(herr_t code, const std::string& what) {
  if (code < 0) fail(what);
}

}  // namespace deeppcr::io::hdf5
