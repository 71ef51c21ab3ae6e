#pragma once

#include <string>
#include <vector>

#include "deeppcr/io/cell_weights.hpp"

namespace deeppcr::io {

/// A recurrent cell as files have it.
struct CellKind {
  std::string name;
  /// In the order of the rows that the program computes with; of each the letters that name it.
  std::vector<std::string> gates;
  bool diagonal = false;  ///< recurrent weights are a vector
  bool peepholes = false;
  /// What the attributes candidate, activation and reset may say, the default first and "" for any
  /// word; none: such a cell has no such thing.
  std::vector<std::string> candidate, activation, reset;

  Index num_gates() const { return static_cast<Index>(gates.size()); }
};

/// @throws Error (this rank) that lists the known cells
const CellKind& cell_kind(const std::string& name);
/// PyTorch's cell with so many gates; null for another number.
const CellKind* cell_of_gates(Index gates);

/// Where the gates of a file, "z,r,c", stand: entry g is the place there of the cell's gate g.
/// @throws Error (this rank) where they are others; `label` names the attribute
std::vector<Index> places_of_gates(const CellKind& kind, const std::string& gates,
                                   const std::string& label);
/// "r,z,n".
std::string gates_text(const CellKind& kind);

/// One array of a layer: a matrix [rows, columns], or a vector [rows] for columns = 0. In the
/// program's row they stand one after another, matrices column-major.
struct CellPart {
  std::string name;
  Index rows;
  Index columns;
  bool of_gates;  ///< rows are n for each gate, in the file's order of them
  bool required;  ///< else zero where it is missing

  Index size() const { return rows * (columns == 0 ? 1 : columns); }
  hdf5::Shape shape() const {
    return columns == 0 ? hdf5::Shape{rows} : hdf5::Shape{rows, columns};
  }
};
/// For `inputs` features a step and `units` = n.
std::vector<CellPart> parts_of(const CellKind& kind, Index inputs, Index units);

}  // namespace deeppcr::io
