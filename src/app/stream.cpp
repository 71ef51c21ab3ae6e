#include <optional>

#include "app/chain.hpp"
#include "app/examples.hpp"
#include "app/run_commands.hpp"
#include "app/stream_loop.hpp"
#include "app/stream_report.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/log.hpp"

namespace deeppcr::app {
namespace {

/// Sums over ranks, each of which has counted what it sees.
StreamCounts total(const parallel::Communicator& comm, const StreamCounts& own) {
  std::vector<Index> sums{own.frames, own.dropped, own.labelled, own.correct, own.no_number};
  comm.sum(sums);
  return {sums[0], sums[1], sums[2], sums[3], sums[4]};
}

/// Frames, on rank 0, and the sizes of the ends that they meet, on all ranks.
struct Source {
  std::unique_ptr<FrameSource> frames;
  EndSizes sizes;
};

/// Collective. @throws Error (on all ranks)
Source open_source(const parallel::Communicator& comm, StreamConfig& config) {
  train::Images images;
  train::Normalisation normalisation;
  if (config.frames.empty()) {
    const parallel::ProcessGrid grid(comm, comm.size(), 1);
    images = load_images(grid, config.network, true);
    if (comm.is_root()) normalisation = images.normalisation();
    if (config.test_set) images = load_images(grid, config.network, false);
  }
  Source source{nullptr, end_sizes(config, images)};
  parallel::agree(comm, [&] {
    if (!comm.is_root()) return;
    if (config.frames.empty()) {
      source.frames = std::make_unique<ImageFrames>(std::move(images), normalisation);
    } else {
      source.frames = std::make_unique<StreamedFrames>(config, source.sizes.features);
    }
  });
  return source;
}

/// Says in the files how the stream ended. Collective.
void finish(const StreamEnding& ending, const StreamCounts& counts, const Outputs& outputs) {
  outputs.results.finish(ending.words(), ending.reason, counts);
  if (outputs.curve != nullptr) outputs.curve->finish(ending.words(), ending.reason);
}

/// The same where all ranks have met this failure, so far as each file still takes it. Collective.
void finish_failed(const parallel::Communicator& comm, const Error& failure,
                   const Outputs& outputs) {
  const StreamCounts counts = total(comm, outputs.results.counts);
  const std::string failed = to_string(nonlinear::Status::failed), reason = failure.what();
  const auto attempt = [](const auto& end) {
    try {
      end();
    } catch (const Error& second) {
      log::debug("{}", second.what());  // the first one is told
    }
  };
  attempt([&] { outputs.results.finish(failed, reason, counts); });
  attempt([&] {
    if (outputs.curve != nullptr) outputs.curve->finish(failed, reason);
  });
}

/// What a stream has come to, equal on all ranks.
struct Done {
  StreamEnding ending;
  StreamCounts counts;
  std::optional<Learning> learning;
  double seconds = 0;
};

/// What was learned also where the source fails afterwards. Collective. @throws Error (on all
/// ranks)
void run_and_keep(const cli::Context& context, const StreamConfig& config,
                  const StreamNetwork& network, Stream& stream) {
  try {
    stream.run();
  } catch (const Error&) {
    if (stream.has_learned_all_before_failure()) save_network(context, config, network);
    throw;
  }
}

/// All frames, and how they ended in the files. Collective. @throws Error (on all ranks)
Done run_frames(const cli::Context& context, const StreamConfig& config,
                const StreamNetwork& network, std::unique_ptr<FrameSource> frames,
                const Outputs& outputs) {
  const parallel::Communicator& comm = context.comm;
  Stream stream(context, config, network, std::move(frames), outputs);
  run_and_keep(context, config, network, stream);
  Done done;
  done.counts = total(comm, outputs.results.counts);
  FramesRead read{stream.first_frame(), stream.next_frame(), stream.frames_there(),
                  stream.is_live()};
  comm.broadcast(read.next, 0);
  done.ending = ending_of(config, stream.stopped_by(), done.counts, read);
  done.ending.left_over = stream.left_over();
  if (!done.ending.left_over.empty()) log::warn("{}", done.ending.left_over);
  if (done.counts.frames == 0 && stream.stopped_by().empty() && comm.is_root())
    log::warn("nothing is predicted: {}", why_no_frame(config, read));
  done.seconds = comm.max(stream.seconds());
  finish(done.ending, done.counts, outputs);
  if (outputs.curve != nullptr)
    done.learning = Learning{comm.gather_all(stream.updates()), outputs.curve->recent()};
  return done;
}

}  // namespace

int run_stream(const OptionValues& options, const cli::Context& context) {
  const parallel::Communicator& comm = context.comm;
  StreamConfig config = read_stream_config(options);
  look_at_files(comm, config.network.chain);
  look_at_restart(comm, config);
  check_network(comm, config);
  check_checkpoint_frames(config, comm.size());
  Source source = open_source(comm, config);
  const StreamNetwork network = make_network(comm, config, source.sizes);
  warn_of_random_parts(config);
  stop_before_start(comm);
  StreamResults results(context, config, network.layout);
  std::optional<LearningCurve> curve;
  if (config.learns()) curve.emplace(context, config, network.layout);
  const Outputs outputs{results, curve ? &*curve : nullptr};
  Done done;
  try {
    done = run_frames(context, config, network, std::move(source.frames), outputs);
  } catch (const Error& error) {
    if (error.seen() == Error::Seen::everywhere) finish_failed(comm, error, outputs);
    throw;
  }
  save_network(context, config, network);
  return print(context, config, done.ending, done.counts, done.learning, done.seconds);
}

}  // namespace deeppcr::app
