#pragma once

#include <optional>
#include <string>
#include <vector>

#include "deeppcr/core/view.hpp"
#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/io/provenance.hpp"

namespace deeppcr::io {

/// What a file of recurrent cells holds: `layers` cells of the same kind, one above another.
///
/// The row of a layer, with d its inputs (`features` for layer 0, else n = units) and G its gates:
///   rnn, gru, lstm: W_ih [G n, d] and W_hh [G n, n] column-major, b_ih [G n], b_hh [G n];
///                   gates in PyTorch's order: one; r, z, n; i, f, g, o
///   para-gru:       W_ih [3 n, d] column-major, a [3 n], b [3 n]; gates z, r, h
///   para-lstm:      W_ih [3 n, d] column-major, a [3 n], peepholes of f and o [2 n], b [3 n];
///                   gates f, c, o
struct CellsShape {
  std::string cell;           ///< the model's name: rnn, gru, lstm, para-gru, para-lstm
  std::string candidate;      ///< activation of a gru's candidate; empty for others
  std::string activation;     ///< of an rnn; empty for others
  bool reset_before = false;  ///< a gru's reset gate stands before the recurrent product
  Index layers = 0;
  Index features = 0;  ///< of an input of layer 0
  Index units = 0;     ///< n
  Index classes = 0;   ///< rows of /head/weight, 0 where there is none
  /// Attributes that say nothing to this program; for a warning.
  std::vector<std::string> unknown_attributes;

  Index inputs_of(Index layer) const { return layer == 0 ? features : units; }
};

/// Numbers in the row of a layer. @throws Error for an unknown cell
Index parameters_of_cell(const CellsShape& shape, Index layer);

/// Nothing where the file holds no cells. One layer at the root, or several in /cell/0, /cell/1 ..:
///   weight_ih [G n, d], weight_hh [G n, n] (para-gru, para-lstm: [G n]), bias [G n] (input side)
///   or bias_ih and bias_hh [G n], peephole [2 n] (para-lstm): float32 or float64.
/// Attributes of the root, of the groups or of these datasets, which must agree:
///   cell        missing: PyTorch's cell of so many gates
///   gates       their order in the file, such as "z,r,c"; missing: as in CellsShape
///   candidate, activation, reset = before|after
/// An optional /head, and /inputs, /labels, /lengths, /targets may stand beside them.
/// Rank 0 looks, all get the answer. Collective.
/// @throws Error (on all ranks) for what is incomplete, contradicts itself, or nobody reads
std::optional<CellsShape> inspect_cells(const parallel::Communicator& comm,
                                        const std::string& path);

/// Fills the row of one layer on every rank, its gates in the order above, missing biases zero.
/// Values are taken as they are, not-a-numbers too. Collective.
void read_cells(const parallel::Communicator& comm, const std::string& path,
                const CellsShape& shape, Index layer, View<Real, 1> row);

/// Rows (or their gradients) as datasets that read_cells() reads: in `group` ("" is the root), or
/// for several layers in group + "/cell/0" ..; rows of rank 0. Collective.
void write_cells(hdf5::File& file, const std::string& group, const CellsShape& shape,
                 const std::vector<View<const Real, 1>>& rows, const std::string& what);

/// Writes a weights file of cells. `head` as in write_dense_layer(); empty: none. Collective.
void write_cell_weights(const parallel::Communicator& comm, const std::string& path,
                        const Provenance& provenance, const CellsShape& shape,
                        const std::vector<View<const Real, 1>>& rows,
                        View<const Real, 2> head = {});

}  // namespace deeppcr::io
