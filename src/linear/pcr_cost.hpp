#pragma once

#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::linear {

/// What a level of pcr moves between ranks: of each row the owner of the row `stride` further on
/// has it sent, in one message for all rows of one rank.
struct RowsFetched {
  Index messages = 0, rows = 0;
};

/// Of rows first..L - stride - 1. In O(1) where counts are equal to one step, else in O(P log P).
/// @pre the layout is contiguous
RowsFetched rows_fetched(const parallel::BlockLayout& layout, Index first, Index stride);

}  // namespace deeppcr::linear
