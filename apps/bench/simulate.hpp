#pragma once

#include "deeppcr/cli/command.hpp"

namespace deeppcr::bench {

/// Passes of chains on all ranks of the run, each against one step after another on one rank of the
/// same run: a row a pass, as CSV. Made for simulated clusters, where time is what the simulator
/// says; on real ranks the same program tells real time.
void add_simulate_options(cli::Options& options);
int run_simulate(const OptionValues& options, const cli::Context& context);

}  // namespace deeppcr::bench
