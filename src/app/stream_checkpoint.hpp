#pragma once

#include <string>

#include "app/stream_config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/train/online_pipeline.hpp"

namespace deeppcr::app {

/// Warns where stages learn from much fewer frames than come, as checkpoints empty them so often.
/// @throws Error where the first stages would learn from none
void check_checkpoint_frames(const StreamConfig& config, int ranks);

/// Finds --restart, once, and how many frames its run has done; nothing for a fresh start.
/// Collective. @throws Error where there is none to go on from
void look_at_restart(const parallel::Communicator& comm, StreamConfig& config);

/// Checkpoints of a stream that learns, at frames where no gradients are under way: parameters,
/// optimisers' memories and how many updates each stage has done.
class StreamCheckpoint {
 public:
  /// Context and configuration must outlive the object.
  StreamCheckpoint(const cli::Context& context, const StreamConfig& config)
      : context_(context), config_(config) {}

  bool is_wanted() const { return !config_.network.files.checkpoint.empty(); }
  /// All frames before this one are learned from, in so many seconds of all runs. Collective.
  void save(train::OnlinePipeline& learner, Index next_frame, double seconds) const;
  /// Fills the learner from --restart. Returns the frame that comes next; 0 without a checkpoint.
  /// Collective. @throws Error for one of another run, or of another number of ranks
  Index resume(train::OnlinePipeline& learner) const;

 private:
  const cli::Context& context_;
  const StreamConfig& config_;
};

}  // namespace deeppcr::app
