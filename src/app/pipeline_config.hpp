#pragma once

#include "deeppcr/cli/options.hpp"
#include "deeppcr/train/chain_network.hpp"
#include "deeppcr/train/old_weights.hpp"

namespace deeppcr::app {

/// The options of both passes of an update as a pipeline over the depth ranks.
void add_pipeline_options(cli::Options& options);
/// @returns whether the passes are such a pipeline
bool read_pipeline(const OptionValues& options, train::PassMethods& methods);
/// Whether what --pipeline names takes gradients at old weights, and so gives other numbers.
bool delays(const std::string& schedule);
train::Delay read_delay(const OptionValues& options);

}  // namespace deeppcr::app
