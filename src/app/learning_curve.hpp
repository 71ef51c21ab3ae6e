#pragma once

#include <deque>

#include "app/last_rank_trace.hpp"
#include "app/stream_config.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/block_layout.hpp"
#include "deeppcr/train/frame_pipeline.hpp"

namespace deeppcr::app {

/// What a stream has learned: means over frames that follow each other. Equal on all ranks.
struct LearningMeans {
  Index frames = 0;
  double loss = 0, accuracy = 0;
};

/// Loss and accuracy of frames before anything is learned from them, over time, on the last rank:
/// in a trace, a row for each hundred frames.
class LearningCurve {
 public:
  /// Collective; the communicator must outlive the object. @throws Error where the trace cannot be
  /// written
  LearningCurve(const cli::Context& context, const StreamConfig& config,
                const parallel::BlockLayout& layout);

  /// A loss that is infinite or NaN is left out. On the last rank.
  void add(const train::Frame& frame, const models::LossReport& report);
  /// Makes all whole rows visible to readers. On the last rank.
  void flush() { trace_.flush(); }
  /// The last row, of fewer frames, and how the stream ended. Collective.
  void finish(const std::string& status, const std::string& reason);
  /// Of the last thousand frames or fewer. Collective.
  LearningMeans recent() const;

 private:
  struct Sums {
    double frames = 0, loss = 0, correct = 0;
  };
  void end_row();

  const parallel::Communicator& world_;
  LastRankTrace trace_;
  Sums row_;
  Index next_frame_ = 0;     ///< behind the last of the row
  std::deque<Sums> recent_;  ///< the last rows
};

}  // namespace deeppcr::app
