#pragma once

#include "deeppcr/cli/command.hpp"

namespace deeppcr::bench {

/// Measures the solvers against what one would use instead, on all ranks of the run and on one.
///
/// Every row is a median of at least five runs after a warm-up, taken in turn with its baseline, so
/// that a change in the load of the machine meets both.
void add_options(cli::Options& options);
int run(const OptionValues& options, const cli::Context& context);

}  // namespace deeppcr::bench
