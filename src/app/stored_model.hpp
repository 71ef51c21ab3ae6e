#pragma once

#include "deeppcr/core/options.hpp"
#include "deeppcr/parallel/communicator.hpp"

namespace deeppcr::app {

/// Makes the model, and what changes the function that it computes (its activation, say), those
/// that the --weights file says it holds; options that say otherwise are refused, and attributes
/// that nobody understands are named in one warning. Before entries are selected. Collective.
void adopt_stored_model(OptionValues& values, const parallel::Communicator& comm);

}  // namespace deeppcr::app
