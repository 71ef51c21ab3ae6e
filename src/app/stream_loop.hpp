#pragma once

#include <algorithm>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "app/frame_source.hpp"
#include "app/interrupts.hpp"
#include "app/learning_curve.hpp"
#include "app/stream_checkpoint.hpp"
#include "app/stream_network.hpp"
#include "app/stream_results.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/train/online_pipeline.hpp"

namespace deeppcr::app {

/// Where what becomes of the frames goes, on the last rank.
struct Outputs {
  StreamResults& results;
  LearningCurve* curve;  ///< null where nothing is learned
};

/// One stream: its source, the ranks, its results, and what may happen between two frames.
class Stream {
 public:
  /// All that is given must outlive the object. Collective. @throws Error for a checkpoint that
  /// does not fit
  Stream(const cli::Context& context, const StreamConfig& config, const StreamNetwork& network,
         std::unique_ptr<FrameSource> source, const Outputs& outputs);

  /// Frames until the end or a stop. Collective. @throws Error (on all ranks) where the source, an
  /// output or a checkpoint has failed; the stages are empty then
  void run();

  /// The first that counts here.
  Index first_frame() const { return start_; }
  /// Behind the last that was read, but none before the first that counts; on rank 0.
  Index next_frame() const { return std::max(at_, start_); }
  /// Frames that were read or left out, those before the first that counts included; on rank 0.
  Index frames_there() const { return at_; }
  /// Whether frames that were taken are gone; on rank 0.
  bool is_live() const { return source_ && source_->is_live(); }
  /// Behind the last whole frame, in words; on rank 0.
  std::string left_over() const { return source_ ? source_->left_over() : ""; }
  /// Whether the source has failed, and all frames before are learned and in the checkpoint.
  bool has_learned_all_before_failure() const { return learned_before_failure_; }
  const std::string& stopped_by() const { return stopped_by_; }
  double seconds() const { return watch_.seconds(); }
  /// Of the optimiser of this rank's stage.
  Index updates() const { return learner_ ? learner_->updates() : 0; }

 private:
  using Next = train::FramePipeline::Next;

  void predict();
  void learn();
  void resume();
  void set_next_save(Index at);
  bool save();
  bool is_save_due() const { return checkpoint_.is_wanted() && at_ >= save_at_; }
  Next begin(train::Frame& frame);
  Next next_frame(train::Frame& frame);
  bool is_free() { return learner_ ? learner_->is_free() : pipeline_->is_free(); }
  bool is_pause_due() const;
  bool take_next(double seconds, train::Frame& frame, Next& what);
  void take_newest(train::Frame& frame);
  void check_label(const train::Frame& frame);
  std::string behind(const train::Frame& bad) const;
  void end(const train::Frame& frame, ConstState last);
  void flush();
  bool pause();
  void show_progress();
  /// What one rank alone does with the source or an output: its failure ends the stream in order.
  void attempt(const std::function<void()>& work);
  bool has_failed() const { return failure_ != nullptr; }

  const parallel::Communicator& comm_;
  const StreamConfig& config_;
  const StreamNetwork& network_;
  std::unique_ptr<FrameSource> source_;  ///< on rank 0
  Outputs outputs_;
  Interrupts interrupts_;
  std::string stopped_by_;  ///< empty where nothing has; equal on all ranks
  bool says_more_;          ///< than the report, which may have no reader
  cli::ProgressLine progress_;
  std::optional<train::FramePipeline> pipeline_;  ///< of a stream that learns nothing
  std::optional<train::OnlinePipeline> learner_;  ///< of one that learns
  Buffer<Real> numbers_;                          ///< of the next frame
  Buffer<Real> logits_;
  StreamCheckpoint checkpoint_;
  Index start_;  ///< the first frame that counts here
  /// The frame before which a checkpoint is due, of a stream that writes some.
  Index save_at_ = std::numeric_limits<Index>::max();
  bool has_ended_ = false;  ///< on rank 0: no frame comes any more
  bool source_failed_ = false, learned_before_failure_ = false;
  std::exception_ptr failure_;  ///< the first one here, thrown when all ranks have come to the end
  Index at_ = 0;                ///< frames read so far, those left out before the first included
  Stopwatch watch_, since_pause_;
};

}  // namespace deeppcr::app
