#pragma once

#include <string>
#include <vector>

#include "deeppcr/io/hdf5_file.hpp"

namespace deeppcr::io {

/// What the readers of weights files share. Errors are this rank's.

/// A weights file: HDF5, or safetensors shown as HDF5, whose numbers stay where they are.
hdf5::File open_weights(const std::string& path);

/// @throws Error that names both sizes
void require_sizes(const hdf5::File& file, const std::string& name, const hdf5::Shape& wanted);

/// Number of children 0, 1, .. count - 1 of a group. @throws Error when one is missing or named
/// otherwise
Index count_numbered(const hdf5::File& file, const std::string& group);

/// Sizes [out, in] of group/weight, a layer outside the chain; {0, 0} without such a group.
hdf5::Shape outer_layer(const hdf5::File& file, const std::string& group);

/// @throws Error where a layer beside the chain has another width; 0: there is none
void require_width(const hdf5::File& file, const std::string& name, Index found, Index width);

/// @throws Error (this rank) where the attribute `dimensions` says that a weight is transposed
void require_out_first(const hdf5::File& file, const std::string& object);

/// Adds the unknown attributes of an object and of all below it, with require_out_first() of each.
void add_unknown_attributes(const hdf5::File& file, const std::string& object,
                            std::vector<std::string>& unknown);

/// The root's texts on all ranks. Collective.
void broadcast_texts(const parallel::Communicator& comm, std::vector<std::string>& texts);

}  // namespace deeppcr::io
