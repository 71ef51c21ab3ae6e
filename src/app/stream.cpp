#include <algorithm>
#include <cmath>

#include "app/chain.hpp"
#include "app/examples.hpp"
#include "app/files.hpp"
#include "app/frame_source.hpp"
#include "app/interrupts.hpp"
#include "app/report.hpp"
#include "app/run_commands.hpp"
#include "app/stream_results.hpp"
#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/parallel/runtime.hpp"
#include "deeppcr/train/frame_pipeline.hpp"

namespace deeppcr::app {
namespace {

using train::Frame;
using train::FramePipeline;

/// Between two safe points.
constexpr double kSecondsToPause = 0.25;
/// That --drop looks for newer frames in one go, while the next stage is busy.
constexpr double kSecondsToLook = 1e-3;

/// Sizes of the two ends, equal on all ranks.
struct EndSizes {
  Index features = 0;
  int classes = 0;
};

void check_network(const StreamConfig& config) {
  const ChainConfig& chain = config.network.chain;
  if (models::input_width(chain.model) > 0)
    throw input_error(
        "--model {}: its steps take inputs over time, and a frame of a stream is the first state "
        "alone; use a model without --features, such as resnet",
        chain.model.model);
}

/// A size by the weights file, by an option, and by the data, which must not contradict.
Index settle(const char* option, Index given, Index stored, const std::string& file, Index data) {
  if (given > 0 && stored > 0 && given != stored)
    throw input_error("--{} {}: the network of {} has {}; leave it out", option, given, file,
                      stored);
  if (stored > 0) return stored;
  if (given > 0) return given;
  if (data > 0) return data;
  throw input_error("--{} is needed: no --weights FILE with {} says it", option,
                    std::string(option) == "classes" ? "a head" : "an embedding");
}

EndSizes end_sizes(const StreamConfig& config, const train::Images& images) {
  const ChainConfig& chain = config.network.chain;
  const io::WeightsShape& stored = chain.stored;
  const bool raw = !config.frames.empty();
  if (!raw && stored.features > 0 && stored.features != images.features())
    throw input_error("--data {}: its images have {} pixels, but the network of {} takes {}",
                      chain.data, images.features(), chain.weights, stored.features);
  EndSizes sizes;
  sizes.features = raw ? settle("frame-size", config.frame_size, stored.features, chain.weights, 0)
                       : images.features();
  sizes.classes = static_cast<int>(settle("classes", config.classes, chain.stored_outputs(),
                                          chain.weights, raw ? 0 : images.classes()));
  return sizes;
}

/// What all ranks hold of the network: its ends, which are small, and the steps of their range.
struct Network {
  parallel::BlockLayout layout;
  std::unique_ptr<sequence::Sequence> chain;
  models::DenseLayer embedding, head;
};

Network make_network(const parallel::Communicator& comm, const ChainConfig& config,
                     const EndSizes& sizes) {
  using models::LayerRole;
  const models::ModelOptions& model = config.model;
  const auto layout = parallel::BlockLayout::balanced(model.steps, comm.size());
  const models::StepCost step = models::step_cost(model);
  const auto steps = static_cast<double>(layout.range(comm.rank()).size());
  const double ends = static_cast<double>(sizes.features + sizes.classes) * model.width;
  parallel::check_memory(comm, sizeof(Real) * (steps * (step.parameters + model.width) + ends));
  auto chain = models::make(model, layout.steps(comm.rank()));
  const int outputs = chain->output().count;
  Network network{layout, std::move(chain),
                  models::DenseLayer(LayerRole::embedding, static_cast<int>(sizes.features),
                                     config.state_width(), model.seed),
                  models::DenseLayer(LayerRole::head, outputs, sizes.classes, model.seed)};
  if (config.weights.empty()) return network;
  read_weights(comm, config, *network.chain);
  if (config.stored.features > 0)
    io::read_dense_layer(comm, config.weights, "/embedding", network.embedding.rows());
  if (config.stored_outputs() > 0)
    io::read_dense_layer(comm, config.weights, "/head", network.head.rows());
  return network;
}

/// One stream: its source, the ranks, its results, and what may happen between two frames.
class Stream {
 public:
  Stream(const cli::Context& context, const StreamConfig& config, const Network& network,
         std::unique_ptr<FrameSource> source, StreamResults& results)
      : comm_(context.comm),
        config_(config),
        network_(network),
        source_(std::move(source)),
        results_(results),
        interrupts_(context.comm, config.network.files),
        progress_(context.comm.is_root() && !context.quiet),
        pipeline_(context.comm, *network.chain, network.layout),
        numbers_(network.embedding.inputs()),
        logits_(network.head.outputs()) {}

  /// Frames until the end or a stop. Collective.
  void run();

  Index next_frame() const { return at_; }
  const std::string& stopped_by() const { return interrupts_.stopped_by(); }
  double seconds() const { return watch_.seconds(); }

 private:
  using Next = FramePipeline::Next;

  Next begin(Frame& frame, State z0);
  bool take_next(double seconds, Frame& frame, Next& what);
  void take_newest(Frame& frame);
  void check_label(const Frame& frame) const;
  void end(const Frame& frame, ConstState last);
  bool pause();
  void show_progress();

  const parallel::Communicator& comm_;
  const StreamConfig& config_;
  const Network& network_;
  std::unique_ptr<FrameSource> source_;  ///< on rank 0
  StreamResults& results_;
  Interrupts interrupts_;
  cli::ProgressLine progress_;
  FramePipeline pipeline_;
  Buffer<Real> numbers_, logits_;
  std::exception_ptr failure_;  ///< of the source, thrown when all ranks have come to the end
  Index at_ = 0;                ///< frames read so far, those left out before the first included
  Stopwatch watch_, since_pause_;
};

void Stream::run() {
  pipeline_.run({[this](Frame& frame, State z0) {
                   try {
                     return begin(frame, z0);
                   } catch (...) {
                     failure_ = std::current_exception();
                     return Next::end;
                   }
                 },
                 [this](const Frame& frame, ConstState last) { end(frame, last); },
                 [this] { return pause(); }});
  parallel::agree(comm_, [this] {
    if (failure_) std::rethrow_exception(failure_);
  });
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
FramePipeline::Next Stream::begin(Frame& frame, State z0) {
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
  network_.embedding.forward({numbers_.data(), {1, numbers_.size()}}, z0);
  return Next::frame;
}

/// Newer frames take its place until the ranks are free for it.
void Stream::take_newest(Frame& frame) {
  for (;;) {
    const bool free = pipeline_.is_free();
    Next what = Next::frame;
    if (take_next(free ? 0 : kSecondsToLook, frame, what)) {
      ++results_.counts.dropped;
    } else if (free) {
      return;
    }
  }
}

void Stream::check_label(const Frame& frame) const {
  const int classes = network_.head.outputs();
  if (!config_.labelled && !config_.frames.empty()) return;
  if (0 <= frame.label && frame.label < classes) return;
  throw local_input_error("{}: frame {} has the label {}, but there are {} classes, 0 to {}",
                          config_.source(), frame.number, frame.label, classes, classes - 1);
}

void Stream::end(const Frame& frame, ConstState last) {
  const sequence::Columns columns = network_.chain->output();
  network_.head.forward({last.data() + columns.first, {1, columns.count}},
                        {logits_.data(), {1, logits_.size()}});
  results_.take(frame, {logits_.data(), {logits_.size()}});
}

bool Stream::pause() {
  if (interrupts_.poll() == Interrupts::Action::stop) return true;
  results_.flush();
  return false;
}

void Stream::show_progress() {
  if (!progress_.is_due()) return;
  const Index sent = at_ - std::min(at_, config_.first) - results_.counts.dropped;
  progress_.show(fmt::format("frame {}: {:.0f} frames/s, {} dropped", at_,
                             static_cast<double>(sent) / watch_.seconds(),
                             results_.counts.dropped));
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

Ending ending_of(const Stream& stream, const StreamCounts& counts, Index next_frame) {
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
        "frames and at --weights",
        counts.no_number, counts.frames);
  }
  return ending;
}

int print(const cli::Context& context, const StreamConfig& config, const Ending& ending,
          const StreamCounts& counts, double seconds) {
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
  check_network(config);
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
  const Network network = make_network(comm, chain, sizes);
  stop_before_start(comm);
  StreamResults results(context, config, network.layout);
  const FrameSource* const known_source = source.get();
  Stream stream(context, config, network, std::move(source), results);
  stream.run();
  const StreamCounts counts = total(comm, results.counts);
  Index next_frame = stream.next_frame();
  comm.broadcast(next_frame, 0);
  Ending ending = ending_of(stream, counts, next_frame);
  if (known_source != nullptr) ending.left_over = known_source->left_over();
  if (!ending.left_over.empty()) log::warn("{}", ending.left_over);
  const double seconds = comm.max(stream.seconds());
  results.finish(ending.words(), ending.reason, counts);
  return print(context, config, ending, counts, seconds);
}

}  // namespace deeppcr::app
