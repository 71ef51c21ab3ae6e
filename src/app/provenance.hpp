#pragma once

#include "deeppcr/app/command.hpp"
#include "deeppcr/io/provenance.hpp"

namespace deeppcr::app {

/// Where a file of this run comes from: versions, command line, options. Collective. In builds with
/// HDF5 only.
io::Provenance provenance(const Context& context);

}  // namespace deeppcr::app
