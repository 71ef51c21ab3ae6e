#pragma once

#include "app/examples.hpp"

namespace deeppcr::app {

/// Signals of --input, and where given --test-input, as samples: both sets, or the test set alone.
/// Collective. @throws Error as io::read_signals(), where the two differ in their features, and
/// where no sample is left for one of the sets
ExampleSets load_signals(const parallel::Communicator& comm, const TrainConfig& config,
                         bool with_training);

}  // namespace deeppcr::app
