#pragma once

#include <limits>
#include <string>
#include <vector>

#include "deeppcr/io/hdf5_file.hpp"

namespace deeppcr::io {

/// Files of users are taken at their word: what nobody here would read is refused by its name, so
/// that no weights are taken for others.

bool holds(const std::vector<std::string>& names, const std::string& name);

/// Refuses members of a group that are none of `known`; another name of a known one may stand there
/// as well. `what`: what such a group holds, for the sentence. @throws Error (this rank)
void require_known_members(const hdf5::File& file, const std::string& group,
                           const std::vector<std::string>& known, const std::string& what);

/// What files of users may have at their root: samples, and beside them the weights of a chain of
/// layers or of recurrent cells.
inline const std::vector<std::string> kSampleMembers{"inputs", "labels", "lengths", "targets"};
inline const std::vector<std::string> kChainMembers{"layers", "embedding", "head"};
inline const std::vector<std::string> kLayerOfCells{"weight_ih", "weight_hh", "bias",
                                                    "bias_ih",   "bias_hh",   "peephole"};
std::vector<std::string> chain_file_members();
std::vector<std::string> cell_file_members();
std::vector<std::string> sample_file_members();
inline constexpr const char* kSamplesHold =
    "a file of samples holds /inputs, /labels, /lengths and /targets, and beside them weights";

/// Classes are counted from 0, in an int.
inline constexpr Index kLargestLabel = std::numeric_limits<int>::max() - 1;

/// Attributes of an object that say nothing to this program and are not known as remarks (units,
/// dimensions, source, note, what this program writes into each file).
std::vector<std::string> unknown_attributes(const hdf5::File& file, const std::string& object);
/// Those of the samples of a file; the root's are the weights' where these stand beside.
std::vector<std::string> unknown_attributes_of_samples(const hdf5::File& file);

/// "[3, 2, 2]".
std::string text_of(const hdf5::Shape& shape);

/// Sizes of a dataset that this HDF5 can read: none with an unknown filter, or with parts in other
/// files. @throws Error (this rank)
hdf5::Shape readable_shape(const hdf5::File& file, const std::string& name);
/// The same of one that holds float32 or float64 numbers.
hdf5::Shape real_shape(const hdf5::File& file, const std::string& name);

/// A dataset of whole numbers of one of the `allowed` sizes; `wanted` says in words what it must
/// be. @throws Error (this rank)
std::vector<Index> whole_numbers(const hdf5::File& file, const std::string& name,
                                 const std::vector<hdf5::Shape>& allowed,
                                 const std::string& wanted);

}  // namespace deeppcr::io
