#pragma once

#include "app/last_rank_trace.hpp"
#include "app/stream_config.hpp"
#include "deeppcr/train/frame_pipeline.hpp"

namespace deeppcr::app {

/// What became of the frames; of one rank, or of all together.
struct StreamCounts {
  Index frames = 0;   ///< predicted
  Index dropped = 0;  ///< by --drop
  Index labelled = 0, correct = 0;
  Index no_number = 0;  ///< with a logit that is infinite or NaN: they have no class
};

/// Predictions as they come, on the last rank: counted, in a file and on standard output.
class StreamResults {
 public:
  /// Collective; the communicator must outlive the object. @throws Error where the file cannot be
  /// written
  StreamResults(const cli::Context& context, const StreamConfig& config,
                const parallel::BlockLayout& layout);

  /// The outputs of the head. On the last rank. @throws Error (this rank) where they cannot be
  /// written
  void take(const train::Frame& frame, View<const Real, 1> logits);
  /// Whether nobody reads the lines of --print any more. On the last rank.
  bool reader_has_left() const { return reader_has_left_; }
  /// Makes all so far visible to readers. On the last rank.
  void flush() { trace_.flush(); }
  /// How the stream ended. Collective.
  void finish(const std::string& status, const std::string& reason, const StreamCounts& all);

  StreamCounts counts;

 private:
  void print_line(const train::Frame& frame, int taken);
  void append(const train::Frame& frame, int taken, View<const Real, 1> logits);

  bool logits_, prints_;
  bool reader_has_left_ = false;
  LastRankTrace trace_;
};

}  // namespace deeppcr::app
