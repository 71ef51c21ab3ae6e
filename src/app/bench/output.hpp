#pragma once

#include <string>
#include <vector>

#include "deeppcr/app/bench_row.hpp"
#include "deeppcr/app/command.hpp"

namespace deeppcr::app::bench {

/// Writes the rows with provenance to an HDF5 file, format "deeppcr-bench". Collective; two sources
/// implement it, one for builds without HDF5.
void write_hdf5(const Context& context, const std::string& path, const std::vector<Row>& rows);

}  // namespace deeppcr::app::bench
