#pragma once

#include <vector>

#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/parallel/traffic.hpp"

namespace deeppcr::parallel {

/// A table of rows of `width` reals that is dealt to the ranks in two ways: some rows with all
/// columns, or some neighbouring columns of all rows.
///
///     rows a b c of columns 0 1        BY ROWS   rank 0 [a0 a1 b0 b1]   rank 1 [c0 c1]
///                                   BY COLUMNS   rank 0 [a0 b0 c0]      rank 1 [a1 b1 c1]
struct TwoWays {
  struct Columns {
    Index first = 0, count = 0;
  };
  std::vector<Index> first_rows;  ///< [P + 1], as BlockLayout has them
  std::vector<Columns> columns;   ///< [P]; some may be empty
  Index width = 0;

  Index num_rows() const { return first_rows.back(); }
  /// What either exchange sends, all ranks together.
  Traffic traffic() const;
};

/// From the way by rows [own rows, width] to that by columns [all rows, own count]. Columns may
/// overlap. Collective; a message for each other rank with columns and about 8 MiB of rows.
void rows_to_columns(const Communicator& comm, const TwoWays& ways, const Real* rows, Real* columns,
                     Traffic& traffic);
/// The way back. Columns must not overlap; those that no rank has stay as they are.
void columns_to_rows(const Communicator& comm, const TwoWays& ways, const Real* columns, Real* rows,
                     Traffic& traffic);

}  // namespace deeppcr::parallel
