#pragma once

#include "deeppcr/io/hdf5_file.hpp"
#include "deeppcr/parallel/block_layout.hpp"

namespace deeppcr::io {

/// Which rank holds which steps: /layout/first_step, the first step of each rank (of a layout that
/// is not contiguous: of each range in the chain's order), then the number of steps; the latter
/// layouts have /layout/rank beside it, the rank that holds each range, -1 for all. This rank
/// alone.
void write_layout(hdf5::File& file, const parallel::BlockLayout& layout);

}  // namespace deeppcr::io
