#include <algorithm>
#include <limits>

#include "app/chain.hpp"
#include "app/examples.hpp"
#include "app/frame_source.hpp"
#include "app/interrupts.hpp"
#include "app/learning_curve.hpp"
#include "app/run_commands.hpp"
#include "app/stream_checkpoint.hpp"
#include "app/stream_network.hpp"
#include "app/stream_report.hpp"
#include "app/stream_results.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/train/online_pipeline.hpp"

namespace deeppcr::app {
namespace {

using train::Frame;
using train::FramePipeline;
using train::OnlinePipeline;

/// Between two safe points.
constexpr double kSecondsToPause = 0.25;
/// That --drop looks for newer frames in one go, while the next stage is busy.
constexpr double kSecondsToLook = 1e-3;

/// Where what becomes of the frames goes, on the last rank.
struct Outputs {
  StreamResults& results;
  LearningCurve* curve;  ///< null where nothing is learned
};

/// One stream: its source, the ranks, its results, and what may happen between two frames.
class Stream {
 public:
  Stream(const cli::Context& context, const StreamConfig& config, const StreamNetwork& network,
         std::unique_ptr<FrameSource> source, const Outputs& outputs)
      : comm_(context.comm),
        config_(config),
        network_(network),
        source_(std::move(source)),
        outputs_(outputs),
        interrupts_(context.comm, config.network.files),
        progress_(context.comm.is_root() && !context.quiet),
        numbers_(network.embedding->inputs()),
        logits_(network.head->outputs()),
        checkpoint_(context, config),
        start_(config.first) {
    if (config.learns()) {
      learner_.emplace(comm_,
                       OnlinePipeline::Network{*network.chain, *network.embedding, *network.loss},
                       network.layout, config.optimiser, config.learning_rate);
      resume();
    } else {
      pipeline_.emplace(comm_, *network.chain, network.layout);
    }
  }

  /// Frames until the end or a stop. Collective.
  void run();

  Index next_frame() const { return at_; }
  const std::string& stopped_by() const { return interrupts_.stopped_by(); }
  double seconds() const { return watch_.seconds(); }
  /// Of the optimiser of this rank's stage.
  Index updates() const { return learner_ ? learner_->updates() : 0; }

 private:
  using Next = FramePipeline::Next;

  void predict();
  void learn();
  void resume();
  void set_next_save(Index at);
  bool save();
  bool is_save_due() const { return checkpoint_.is_wanted() && at_ >= save_at_; }
  Next begin(Frame& frame);
  Next next_frame(Frame& frame);
  bool is_free() { return learner_ ? learner_->is_free() : pipeline_->is_free(); }
  bool take_next(double seconds, Frame& frame, Next& what);
  void take_newest(Frame& frame);
  void check_label(const Frame& frame) const;
  void end(const Frame& frame, ConstState last);
  bool pause();
  void show_progress();

  const parallel::Communicator& comm_;
  const StreamConfig& config_;
  const StreamNetwork& network_;
  std::unique_ptr<FrameSource> source_;  ///< on rank 0
  Outputs outputs_;
  Interrupts interrupts_;
  cli::ProgressLine progress_;
  std::optional<FramePipeline> pipeline_;  ///< of a stream that learns nothing
  std::optional<OnlinePipeline> learner_;  ///< of one that learns
  Buffer<Real> numbers_;                   ///< of the next frame
  Buffer<Real> logits_;
  StreamCheckpoint checkpoint_;
  Index start_;  ///< the first frame that counts here
  /// The frame before which a checkpoint is due, of a stream that writes some.
  Index save_at_ = std::numeric_limits<Index>::max();
  bool has_ended_ = false;      ///< on rank 0: no frame comes any more
  std::exception_ptr failure_;  ///< of the source, thrown when all ranks have come to the end
  Index at_ = 0;                ///< frames read so far, those left out before the first included
  Stopwatch watch_, since_pause_;
};

void Stream::run() {
  if (learner_) {
    learn();
  } else {
    predict();
  }
  parallel::agree(comm_, [this] {
    if (failure_) std::rethrow_exception(failure_);
  });
}

void Stream::predict() {
  FramePipeline::Ends ends;
  ends.begin = [this](Frame& frame, State z0) {
    const Next next = begin(frame);
    if (next == Next::frame)
      network_.embedding->forward({numbers_.data(), {1, numbers_.size()}}, z0);
    return next;
  };
  ends.end = [this](const Frame& frame, ConstState last) { end(frame, last); };
  ends.pause = [this] { return pause(); };
  pipeline_->run(ends);
}

void Stream::learn() {
  OnlinePipeline::Ends ends;
  ends.begin = [this](Frame& frame, State sample) {
    const Next next = begin(frame);
    if (next == Next::frame) std::copy(numbers_.begin(), numbers_.end(), sample.begin());
    return next;
  };
  ends.end = [this](const Frame& frame, ConstState last) { end(frame, last); };
  ends.learned = [this](const Frame& frame, const models::LossReport& report) {
    outputs_.curve->add(frame, report);
  };
  ends.pause = [this] { return pause(); };
  do {
    learner_->run(ends);
  } while (save());
}

/// A source that has no frames twice goes on where it is.
void Stream::resume() {
  const Index next = checkpoint_.resume(*learner_);
  start_ = std::max(start_, next);
  if (source_ && source_->is_live()) at_ = next;
  set_next_save(start_);
}

/// Before the first frame after `at` whose number the interval divides.
void Stream::set_next_save(Index at) {
  const Index apart = config_.frames_to_save;
  if (apart > 0) save_at_ = (at / apart + 1) * apart;
}

/// The stages are empty: the checkpoint that was due, or the last one. Returns whether frames
/// follow. Collective.
bool Stream::save() {
  enum Now : Index { kFailed, kEnded, kGoesOn };
  const bool stopped = !interrupts_.stopped_by().empty();
  std::vector<Index> now{at_, failure_ ? kFailed : has_ended_ || stopped ? kEnded : kGoesOn};
  comm_.broadcast(now, 0);
  if (now[1] == kFailed) return false;
  if (checkpoint_.is_wanted()) checkpoint_.save(*learner_, now[0], watch_.seconds());
  set_next_save(now[0]);
  return now[1] == kGoesOn;
}

/// A failure of the source ends the stream.
FramePipeline::Next Stream::begin(Frame& frame) {
  if (is_save_due()) return Next::end;
  try {
    const Next next = next_frame(frame);
    has_ended_ = next == Next::end;
    return next;
  } catch (...) {
    failure_ = std::current_exception();
    return Next::end;
  }
}

/// The next frame that counts; false: none within that time, and `what` says what is next.
bool Stream::take_next(double seconds, Frame& frame, Next& what) {
  what = Next::end;
  if (config_.most > 0 && at_ >= config_.first + config_.most) return false;
  const FrameSource::Next next = source_->next(seconds, numbers_.data(), frame.label);
  if (next == FrameSource::Next::none) what = Next::pause;
  if (next != FrameSource::Next::frame) return false;
  frame.number = at_++;
  check_label(frame);
  return true;
}

/// Frames before the first that counts are read and left out.
FramePipeline::Next Stream::next_frame(Frame& frame) {
  if (since_pause_.seconds() >= kSecondsToPause) {
    since_pause_.restart();
    show_progress();
    return Next::pause;
  }
  Next what = Next::frame;
  do {
    const double left = std::max(0.0, kSecondsToPause - since_pause_.seconds());
    if (!take_next(left, frame, what)) return what;
  } while (frame.number < start_);
  if (config_.drop) take_newest(frame);
  return Next::frame;
}

/// Newer frames take its place until the ranks are free for it.
void Stream::take_newest(Frame& frame) {
  for (;;) {
    const bool free = is_free();
    Next what = Next::frame;
    if (take_next(free ? 0 : kSecondsToLook, frame, what)) {
      ++outputs_.results.counts.dropped;
    } else if (free) {
      return;
    }
  }
}

void Stream::check_label(const Frame& frame) const {
  const int classes = network_.head->outputs();
  if (!config_.labelled && !config_.frames.empty()) return;
  if (0 <= frame.label && frame.label < classes) return;
  throw local_input_error("{}: frame {} has the label {}, but there are {} classes, 0 to {}",
                          config_.source(), frame.number, frame.label, classes, classes - 1);
}

void Stream::end(const Frame& frame, ConstState last) {
  const sequence::Columns columns = network_.chain->output();
  network_.head->forward({last.data() + columns.first, {1, columns.count}},
                         {logits_.data(), {1, logits_.size()}});
  outputs_.results.take(frame, {logits_.data(), {logits_.size()}});
}

bool Stream::pause() {
  const auto asked = interrupts_.poll();
  if (asked == Interrupts::Action::stop) return true;
  if (asked == Interrupts::Action::save && learner_ && checkpoint_.is_wanted()) return true;
  outputs_.results.flush();
  if (outputs_.curve != nullptr) outputs_.curve->flush();
  return false;
}

void Stream::show_progress() {
  if (!progress_.is_due()) return;
  const Index sent = at_ - std::min(at_, start_) - outputs_.results.counts.dropped;
  progress_.show(fmt::format("frame {}: {:.0f} frames/s, {} dropped", at_,
                             static_cast<double>(sent) / watch_.seconds(),
                             outputs_.results.counts.dropped));
}

/// Sums over ranks, each of which has counted what it sees.
StreamCounts total(const parallel::Communicator& comm, const StreamCounts& own) {
  std::vector<Index> sums{own.frames, own.dropped, own.labelled, own.correct, own.no_number};
  comm.sum(sums);
  return {sums[0], sums[1], sums[2], sums[3], sums[4]};
}

}  // namespace

int run_stream(const OptionValues& options, const cli::Context& context) {
  const parallel::Communicator& comm = context.comm;
  StreamConfig config = read_stream_config(options);
  ChainConfig& chain = config.network.chain;
  look_at_files(comm, chain);
  check_network(config, comm.size());
  std::unique_ptr<FrameSource> source;
  train::Images images;
  train::Normalisation normalisation;
  if (config.frames.empty()) {
    const parallel::ProcessGrid grid(comm, comm.size(), 1);
    images = load_images(grid, config.network, true);
    if (comm.is_root()) normalisation = images.normalisation();
    if (config.test_set) images = load_images(grid, config.network, false);
  }
  const EndSizes sizes = end_sizes(config, images);
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    if (config.frames.empty()) {
      source = std::make_unique<ImageFrames>(std::move(images), normalisation);
    } else {
      source = std::make_unique<StreamedFrames>(config, sizes.features);
    }
  });
  const StreamNetwork network = make_network(comm, config, sizes);
  stop_before_start(comm);
  StreamResults results(context, config, network.layout);
  std::optional<LearningCurve> curve;
  if (config.learns()) curve.emplace(context, config, network.layout);
  const FrameSource* const known_source = source.get();
  Stream stream(context, config, network, std::move(source), {results, curve ? &*curve : nullptr});
  stream.run();
  const StreamCounts counts = total(comm, results.counts);
  Index next_frame = stream.next_frame();
  comm.broadcast(next_frame, 0);
  StreamEnding ending = ending_of(config, stream.stopped_by(), counts, next_frame);
  if (known_source != nullptr) ending.left_over = known_source->left_over();
  if (!ending.left_over.empty()) log::warn("{}", ending.left_over);
  const double seconds = comm.max(stream.seconds());
  results.finish(ending.words(), ending.reason, counts);
  std::optional<Learning> learning;
  if (curve) {
    curve->finish(ending.words(), ending.reason);
    learning = Learning{comm.gather_all(stream.updates()), curve->recent()};
  }
  if (!config.network.files.save_weights.empty()) save_weights(context, config, network);
  return print(context, config, ending, counts, learning, seconds);
}

}  // namespace deeppcr::app
