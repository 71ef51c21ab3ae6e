#pragma once

#include <string>
#include <vector>

#include "deeppcr/io/hdf5_file.hpp"

namespace deeppcr::io {

/// Files of users are taken at their word: what nobody here would read is refused by its name, so
/// that no weights are taken for others.

/// Refuses members of a group that are none of `known`; another name of a known one may stand there
/// as well. `what`: what such a group holds, for the sentence. @throws Error (this rank)
void require_known_members(const hdf5::File& file, const std::string& group,
                           const std::vector<std::string>& known, const std::string& what);

/// What a file with the weights or the samples of users may have at its root.
inline const std::vector<std::string> kRootMembers{"layers", "embedding", "head",   "inputs",
                                                   "labels", "lengths",   "targets"};

/// Attributes of an object that say nothing to this program and are not known as remarks (units,
/// dimensions, source, note, what this program writes into each file).
std::vector<std::string> unknown_attributes(const hdf5::File& file, const std::string& object);

/// "[3, 2, 2]".
std::string text_of(const hdf5::Shape& shape);

/// Sizes of a dataset that this HDF5 can read: none with an unknown filter, or with parts in other
/// files. @throws Error (this rank)
hdf5::Shape readable_shape(const hdf5::File& file, const std::string& name);
/// The same of one that holds float32 or float64 numbers.
hdf5::Shape real_shape(const hdf5::File& file, const std::string& name);

}  // namespace deeppcr::io
