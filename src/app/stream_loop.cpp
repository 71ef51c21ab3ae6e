#include "app/stream_loop.hpp"

#include <algorithm>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

/// Between two safe points.
constexpr double kSecondsToPause = 0.25;
/// That --drop looks for newer frames: in one go while the next stage is busy, in all once it is
/// free.
constexpr double kSecondsToLook = 1e-3;

}  // namespace

using train::Frame;
using train::FramePipeline;
using train::OnlinePipeline;

Stream::Stream(const cli::Context& context, const StreamConfig& config,
               const StreamNetwork& network, std::unique_ptr<FrameSource> source,
               const Outputs& outputs)
    : comm_(context.comm),
      config_(config),
      network_(network),
      source_(std::move(source)),
      outputs_(outputs),
      interrupts_(context.comm, config.network.files),
      says_more_(!context.quiet),
      progress_(context.comm.is_root() && !context.quiet),
      numbers_(network.embedding->inputs()),
      logits_(network.head->outputs()),
      checkpoint_(context, config),
      start_(config.first) {
  if (config.learns()) {
    learner_.emplace(comm_,
                     OnlinePipeline::Network{*network.chain, *network.embedding, *network.loss},
                     network.layout, config.optimiser, config.schedule);
    resume();
  } else {
    pipeline_.emplace(comm_, *network.chain, network.layout);
  }
}

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
    attempt([&] { outputs_.curve->add(frame, report); });
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

/// The stages are empty: the checkpoint that was due, or the last one. None where an output has
/// failed: it lacks predictions that the run which goes on makes again. Returns whether frames
/// follow. Collective.
bool Stream::save() {
  enum Failed : Index { kNothing, kSource, kOutput };
  flush();  // a killed run leaves all predictions from before its checkpoint
  const Index failed = comm_.max(Index{!has_failed()    ? kNothing
                                       : source_failed_ ? kSource
                                                        : kOutput});
  const bool stopped = !stopped_by_.empty();
  std::vector<Index> now{next_frame(), has_ended_ || stopped ? 0 : 1};
  comm_.broadcast(now, 0);
  learned_before_failure_ = failed == kSource && now[0] > start_;
  if (failed != kNothing && !learned_before_failure_) return false;
  if (checkpoint_.is_wanted()) checkpoint_.save(*learner_, now[0], watch_.seconds());
  set_next_save(now[0]);
  since_pause_.restart();  // frames come before the next one, however long this one took
  return failed == kNothing && now[1] != 0;
}

void Stream::attempt(const std::function<void()>& work) {
  if (has_failed()) return;
  try {
    work();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

FramePipeline::Next Stream::begin(Frame& frame) {
  if (is_save_due()) return Next::end;
  if (has_failed()) return Next::end;
  Next next = Next::end;
  attempt([&] { next = next_frame(frame); });
  source_failed_ = has_failed();
  has_ended_ = next == Next::end;
  return next;
}

bool Stream::is_pause_due() const { return since_pause_.seconds() >= kSecondsToPause; }

/// The next frame; false: none within that time, and `what` says what is next.
bool Stream::take_next(double seconds, Frame& frame, Next& what) {
  what = Next::end;
  if (config_.most > 0 && next_frame() >= config_.first + config_.most) return false;
  const FrameSource::Next next = source_->next(seconds, numbers_.data(), frame.label);
  if (next == FrameSource::Next::end && at_ < start_ && start_ > config_.first)
    throw local_input_error(
        "{}: it has {} frames, but --restart goes on with frame {}; give the frames of that run",
        config_.source(), at_, start_);
  if (next == FrameSource::Next::none) what = Next::pause;
  if (next != FrameSource::Next::frame) return false;
  frame.number = at_++;
  return true;
}

/// Frames before the first that counts are left out; where they must be read, a pause may come
/// between them.
FramePipeline::Next Stream::next_frame(Frame& frame) {
  if (at_ < start_) at_ += source_->skip(start_ - at_);
  Next what = Next::frame;
  do {
    if (is_pause_due()) {
      since_pause_.restart();
      show_progress();
      return Next::pause;
    }
    const double left = std::max(0.0, kSecondsToPause - since_pause_.seconds());
    if (!take_next(left, frame, what)) return what;
  } while (frame.number < start_);
  if (config_.drop) take_newest(frame);
  check_label(frame);
  return Next::frame;
}

/// Newer frames take its place until the ranks are free for it, then those that are there already.
/// A source that always has more does not hold it up, nor the next pause.
void Stream::take_newest(Frame& frame) {
  Stopwatch free_for;
  bool was_free = false;
  while (!is_pause_due()) {
    const bool free = was_free || is_free();
    if (free && !was_free) free_for.restart();
    was_free = free;
    if (free && free_for.seconds() >= kSecondsToLook) return;
    Next what = Next::frame;
    if (take_next(free ? 0 : kSecondsToLook, frame, what)) {
      ++outputs_.results.counts.dropped;
    } else if (free || what == Next::end) {
      return;
    }
  }
}

/// One that is wrong stays in front of the stream: all before it is done, and nothing of it.
void Stream::check_label(const Frame& frame) {
  const int classes = network_.head->outputs();
  if (!config_.labelled && !config_.frames.empty()) return;
  if (0 <= frame.label && frame.label < classes) return;
  at_ = frame.number;
  throw local_input_error("{}: frame {} has the label {}, but there are {} classes, 0 to {}{}",
                          config_.source(), frame.number, frame.label, classes, classes - 1,
                          behind(frame));
}

/// Options of a run that goes on behind a bad frame. Of a live source it is gone.
std::string Stream::behind(const Frame& bad) const {
  const FilesConfig& files = config_.network.files;
  const bool saves = checkpoint_.is_wanted() && bad.number > start_;
  std::string options = saves                   ? " --restart " + files.checkpoint
                        : files.restart.empty() ? ""
                                                : " --restart " + files.restart;
  if (!source_->is_live()) options += fmt::format(" --first-frame {}", bad.number + 1);
  return options.empty() ? "" : "; go on behind it with" + options;
}

void Stream::end(const Frame& frame, ConstState last) {
  const sequence::Columns columns = network_.chain->output();
  network_.head->forward({last.data() + columns.first, {1, columns.count}},
                         {logits_.data(), {1, logits_.size()}});
  attempt([&] { outputs_.results.take(frame, {logits_.data(), {logits_.size()}}); });
}

void Stream::flush() {
  attempt([this] {
    outputs_.results.flush();
    if (outputs_.curve != nullptr) outputs_.curve->flush();
  });
}

/// What has become of an output on the last rank, the others hear of here.
bool Stream::pause() {
  enum News : Index { kNone, kReaderLeft, kFailed };
  flush();
  const bool left = outputs_.results.reader_has_left();
  const Index news = comm_.max(Index{has_failed() ? kFailed : left ? kReaderLeft : kNone});
  if (news == kReaderLeft) {
    stopped_by_ = "the reader of --print, which has gone,";
    if (says_more_) log::warn("--print: its reader has gone, so the stream stops");
  }
  if (news != kNone) return true;
  const auto asked = interrupts_.poll();
  stopped_by_ = interrupts_.stopped_by();
  if (asked == Interrupts::Action::stop) return true;
  if (asked == Interrupts::Action::save && learner_ && checkpoint_.is_wanted()) return true;
  since_pause_.restart();
  return false;
}

void Stream::show_progress() {
  if (!progress_.is_due()) return;
  const Index sent = at_ - std::min(at_, start_) - outputs_.results.counts.dropped;
  progress_.show(fmt::format("frame {}: {:.0f} frames/s, {} dropped", at_,
                             static_cast<double>(sent) / watch_.seconds(),
                             outputs_.results.counts.dropped));
}

}  // namespace deeppcr::app
