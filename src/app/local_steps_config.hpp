#pragma once

#include "deeppcr/cli/options.hpp"
#include "deeppcr/train/local_steps.hpp"

namespace deeppcr::app {

void add_local_steps_options(cli::Options& options);
/// @throws Error for options that contradict each other
train::LocalSteps read_local_steps(const OptionValues& options);
/// Refuses a bound, as it was typed, that nothing would follow.
void refuse_drift_bound(const OptionValues& options);

}  // namespace deeppcr::app
