#include <algorithm>
#include <cmath>

#include "app/chain.hpp"
#include "app/examples.hpp"
#include "app/frame_source.hpp"
#include "app/interrupts.hpp"
#include "app/learning_curve.hpp"
#include "app/report.hpp"
#include "app/run_commands.hpp"
#include "app/stream_network.hpp"
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
        logits_(network.head->outputs()) {
    if (config.learns()) {
      learner_.emplace(comm_,
                       OnlinePipeline::Network{*network.chain, *network.embedding, *network.loss},
                       network.layout, config.optimiser, config.learning_rate);
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
  learner_->run(ends);
}

/// A failure of the source ends the stream.
FramePipeline::Next Stream::begin(Frame& frame) {
  try {
    return next_frame(frame);
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
  } while (frame.number < config_.first);
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
  if (interrupts_.poll() == Interrupts::Action::stop) return true;
  outputs_.results.flush();
  if (outputs_.curve != nullptr) outputs_.curve->flush();
  return false;
}

void Stream::show_progress() {
  if (!progress_.is_due()) return;
  const Index sent = at_ - std::min(at_, config_.first) - outputs_.results.counts.dropped;
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

/// How it ended: by itself, by a stop, or with frames that have no class.
struct Ending {
  nonlinear::Status status = nonlinear::Status::converged;
  std::string reason;
  Index next_frame = 0;  ///< behind the last that was read
  std::string go_on;     ///< option of the run that goes on
  std::string left_over;

  std::string words() const {
    return status == nonlinear::Status::converged ? "done" : to_string(status);
  }
};

Ending ending_of(const Stream& stream, const StreamCounts& counts, Index next_frame, bool learns) {
  Ending ending;
  ending.next_frame = next_frame;
  if (!stream.stopped_by().empty()) {
    ending.status = nonlinear::Status::interrupted;
    ending.reason = fmt::format("stopped by {} before frame {}", stream.stopped_by(), next_frame);
    ending.go_on = fmt::format("--first-frame {}", next_frame);
  } else if (counts.no_number > 0) {
    ending.status = nonlinear::Status::failed;
    ending.reason = fmt::format(
        "{} of {} frames have logits that are infinite or no numbers, and no class: look at the "
        "frames and at --weights{}",
        counts.no_number, counts.frames, learns ? ", or use a smaller --learning-rate" : "");
  }
  return ending;
}

/// What was learned, equal on all ranks.
struct Learning {
  std::vector<Index> updates;  ///< of each stage
  LearningMeans recent;
};

void add_learning(const StreamConfig& config, const Learning& learning, Report& report) {
  const std::vector<Index>& updates = learning.updates;
  const auto stages = static_cast<Index>(updates.size());
  const LearningMeans& recent = learning.recent;
  Json& json = report.json;
  json["optimiser"] = config.optimiser.rule;
  json["learning_rate"] = config.learning_rate;
  json["rule"] =
      "a stage goes back through the frame, state and weights that it has with the gradient that "
      "the next stage made one tick before (PARTIME, arXiv 2210.09147)";
  for (Index i = 0; i < stages; ++i) json["staleness"].push_back(2 * (stages - 1 - i));
  json["updates"] = updates;
  report.line("learning", "{}, learning rate {}", config.optimiser.rule, config.learning_rate);
  report.line(
      "rule", "{}",
      stages == 1
          ? "online learning: an update with the gradient of each frame"
          : fmt::format("PARTIME: stage i learns from the loss of 2 ({} - i) frames before, "
                        "{} at the first, 0 at the last",
                        stages - 1, 2 * (stages - 1)));
  report.line(
      "updates", "{}{}", updates.front(),
      stages == 1 ? "" : fmt::format(" of the first stage, {} of the last", updates.back()));
  if (recent.frames == 0) return;
  json["recent_frames"] = recent.frames;
  json["recent_loss"] = recent.loss;
  json["recent_accuracy"] = recent.accuracy;
  report.line("lately", "loss {:.4f}, accuracy {:.2f} % of the last {} frames", recent.loss,
              100 * recent.accuracy, recent.frames);
}

int print(const cli::Context& context, const StreamConfig& config, const Ending& ending,
          const StreamCounts& counts, const std::optional<Learning>& learning, double seconds) {
  Report report(context, "stream", ending.status, ending.words());
  Json& json = report.json;
  report.add_model(config.network.chain);
  const double speed = static_cast<double>(counts.frames) / std::max(seconds, 1e-9);
  json["frames"] = counts.frames;
  json["dropped"] = counts.dropped;
  json["frames_per_second"] = speed;
  json["latency_ticks"] = context.comm.size() - 1;
  json["reason"] = ending.reason;
  json["next_frame"] = ending.next_frame;
  json["left_over"] = ending.left_over;
  json["seconds"]["total"] = seconds;
  report.line("source", "{}", config.source());
  report.line("frames", "{}{}", counts.frames,
              counts.dropped > 0 ? fmt::format(", {} dropped", counts.dropped) : "");
  if (counts.labelled > 0) {
    const double right = static_cast<double>(counts.correct) / static_cast<double>(counts.labelled);
    json["labelled"] = counts.labelled;
    json["accuracy"] = right;
    report.line("accuracy", "{:.2f} % of {} labelled frames", 100 * right, counts.labelled);
  }
  if (learning) add_learning(config, *learning, report);
  report.line_if("reason", ending.reason);
  report.line_if("go on with", ending.go_on);
  report.line("speed", "{:.0f} frames/s, a latency of {} ticks", speed, context.comm.size() - 1);
  report.line("time", "{:.3g} s", seconds);
  return report.print(ending.reason);
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
  Ending ending = ending_of(stream, counts, next_frame, config.learns());
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
