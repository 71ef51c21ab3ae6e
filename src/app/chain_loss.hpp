#pragma once

#include <memory>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/io/batch.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/communicator.hpp"

// The loss of `solve` and `gradient`, and what it compares with.

namespace deeppcr::app {

/// Whether the run has a backward pass, and so a loss.
bool differentiates(const RunConfig& config);
/// @throws Error where the loss wants labels or targets that a file has not got: others would be
/// made up
void require_labels(const RunConfig& config, const io::Batch& samples);
/// @throws Error for a label that names no component of a state, where the loss wants one
void check_components(const ChainConfig& config, int largest_label);
/// Those of the samples or signals, else random ones: [B], or [steps, B].
std::vector<int> make_labels(const ChainConfig& config, const io::Batch& samples);
/// The loss for the states of a chain, with the head that comes with the weights. Collective.
std::unique_ptr<models::Loss> make_loss(const parallel::Communicator& comm,
                                        const ChainConfig& config, const sequence::Sequence& chain,
                                        const std::vector<int>& labels);

}  // namespace deeppcr::app
