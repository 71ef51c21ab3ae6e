#pragma once

#include <string>
#include <vector>

#include "io/cell_kinds.hpp"

namespace deeppcr::io {

/// Attributes that are obeyed. A `model` names the cell too.
inline const std::vector<std::string> kObeyed{"cell",      "model",      "gates",
                                              "candidate", "activation", "reset"};
/// Attributes of what no cell here has: they may only deny it.
inline const std::vector<std::string> kDenied{"bidirectional", "dropout", "proj_size"};

/// One layer of a file: its kind, and what the file says of it.
struct CellLayer {
  const CellKind* kind = nullptr;
  std::vector<Index> places;  ///< in the file, of each gate
  std::vector<CellPart> parts;
  CellsShape shape;  ///< as if it were alone
};

/// Looks at everything that the file says of it. @throws Error (this rank)
CellLayer inspect_layer(const hdf5::File& file, Index index);

/// Where it stands: "" at the root, or "/cell/INDEX".
std::string group_of(const hdf5::File& file, Index index);
/// The datasets of cells in a group.
std::vector<std::string> members_of(const hdf5::File& file, const std::string& group);
/// Whose attributes describe the cells of a group: the root, the groups down to it, its datasets.
std::vector<std::string> described_by(const hdf5::File& file, const std::string& group);
/// The full name of a part: a bias on the input side has two.
std::string dataset_of(const hdf5::File& file, const std::string& group, const CellPart& part);

}  // namespace deeppcr::io
