#pragma once

#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/train/optimiser.hpp"

namespace deeppcr::train {

/// A network of a stream: a chain between an embedding of `features` numbers and a head of
/// `classes`, which an optimiser learns; null: nobody does.
struct FrameNetwork {
  const models::ModelOptions& chain;
  Index features = 0;
  Index classes = 0;
  const OptimiserOptions* optimiser = nullptr;
};

/// Seconds that a frame takes in a step of the chain and at its ends.
struct FrameCost {
  double step = 1, embedding = 0, head = 0;
};

/// By the table of core::Machine, so that it is the same on all machines.
FrameCost frame_cost(const FrameNetwork& network);

/// Ranges of steps for the stages of a FramePipeline, as equal in time as whole steps allow: the
/// first stage has the embedding, too, and the last one the head. Where the embedding alone takes
/// longer than a stage should, the first one has one step.
parallel::BlockLayout frame_layout(Index steps, int stages, const FrameCost& cost);

}  // namespace deeppcr::train
