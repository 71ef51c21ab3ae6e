#pragma once

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "deeppcr/io/hdf5_types.hpp"

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

/// UTF-8 text of fixed length: unlike variable length it is covered by HDF5's checksums.
Id text_type(std::size_t bytes);
/// Texts one after another, each as long as the longest: one byte at least, as HDF5 has no empty
/// texts.
std::string padded(const std::vector<std::string>& texts);

/// Entries of a row, that is of all axes but the first.
inline Index row_entries(const Shape& shape) {
  const auto first = shape.begin() + (shape.empty() ? 0 : 1);
  return std::accumulate(first, shape.end(), Index{1}, std::multiplies<>());
}

/// For HDF5's iterations: adds a name to the texts `out`.
template <typename Info>
herr_t add_name(hid_t, const char* name, const Info*, void* out) {
  static_cast<std::vector<std::string>*>(out)->emplace_back(name);
  return 0;
}

inline void check(herr_t code, const std::string& what) {
  if (code < 0) fail(what);
}

}  // namespace deeppcr::io::hdf5
