#pragma once

#include <memory>

#include "app/stream_config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/models/end.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/train/images.hpp"

namespace deeppcr::app {

/// Sizes of the two ends, equal on all ranks.
struct EndSizes {
  Index features = 0;
  int classes = 0;
};

/// Opens modules. Collective. @throws Error for a network that takes no frames, or that stages
/// cannot learn, and for modules that do not fit
void check_network(const parallel::Communicator& comm, const StreamConfig& config);
/// By the weights file, by options and by the images, where there are any. @throws Error where they
/// contradict each other
EndSizes end_sizes(const StreamConfig& config, const train::Images& images);

/// What all ranks hold of the network: its ends, which are small, and the steps of their range.
struct StreamNetwork {
  parallel::BlockLayout layout;
  std::unique_ptr<sequence::Sequence> chain;
  std::unique_ptr<models::End> embedding;
  std::unique_ptr<models::Loss> loss;  ///< of classes, after the last step
  models::End* head = nullptr;         ///< the loss's
};
/// From --weights, else by the seed. Collective.
StreamNetwork make_network(const parallel::Communicator& comm, const StreamConfig& config,
                           const EndSizes& sizes);
/// Says which parts are drawn by the seed, where nothing teaches them or a file was to give them.
void warn_of_random_parts(const StreamConfig& config);
/// --save-weights and --save-module. Collective.
void save_network(const cli::Context& context, const StreamConfig& config,
                  const StreamNetwork& network);

}  // namespace deeppcr::app
