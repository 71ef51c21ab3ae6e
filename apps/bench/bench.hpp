#pragma once

#include "deeppcr/app/command.hpp"

namespace deeppcr::bench {

/// Measures the solvers against what one would use instead, on all ranks of the run and on one.
///
/// Every row is a median of at least five runs after a warm-up, taken in turn with its baseline, so
/// that a change in the load of the machine meets both.
void add_options(boost::program_options::options_description& options);
int run(const boost::program_options::variables_map& options, const app::Context& context);

}  // namespace deeppcr::bench
