#pragma once

#include <string>
#include <vector>

#include "deeppcr/cli/command.hpp"
#include "row.hpp"

namespace deeppcr::bench {

/// Writes the rows with provenance to an HDF5 file, format "deeppcr-bench". Collective.
void write_hdf5(const cli::Context& context, const std::string& path, const std::vector<Row>& rows);

}  // namespace deeppcr::bench
