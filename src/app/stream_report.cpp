#include "app/stream_report.hpp"

#include <algorithm>

#include "app/report.hpp"
#include "deeppcr/train/online_pipeline.hpp"

namespace deeppcr::app {
namespace {

void add_learning(const StreamConfig& config, const Learning& learning, Report& report) {
  const std::vector<Index>& updates = learning.updates;
  const int stages = static_cast<int>(updates.size());
  const auto stale = [&](int stage) { return train::OnlinePipeline::staleness(stage, stages); };
  const LearningMeans& recent = learning.recent;
  Json& json = report.json;
  json["optimiser"] = config.optimiser.rule;
  json["learning_rate"] = config.schedule.peak;
  json["schedule"] = config.schedule.name;
  json["warm_up"] = config.schedule.warm_up;
  json["loss"] = config.network.chain.loss.name;
  json["rule"] =
      "a stage goes back through the frame, state and weights that it has with the gradient that "
      "the next stage made one tick before (PARTIME, arXiv 2210.09147)";
  for (int i = 0; i < stages; ++i) json["staleness"].push_back(stale(i));
  json["updates"] = updates;
  report.line("learning", "{} by {}, learning rate {}, {}{}", config.network.chain.loss.name,
              config.optimiser.rule, config.schedule.peak, config.schedule.name,
              config.schedule.warm_up > 0
                  ? fmt::format(" behind {} updates of warm-up", config.schedule.warm_up)
                  : "");
  report.line(
      "rule", "{}",
      stages == 1
          ? "online learning: an update with the gradient of each frame"
          : fmt::format("PARTIME: stage i learns from the loss of 2 ({} - i) frames before, "
                        "{} at the first, 0 at the last",
                        stages - 1, stale(0)));
  report.line(
      "updates", "{}{}", updates.front(),
      stages == 1 ? "" : fmt::format(" of the first stage, {} of the last", updates.back()));
  if (recent.frames == 0) return;
  json["recent_frames"] = recent.frames;
  json["recent_loss"] = recent.loss;
  json["recent_accuracy"] = recent.accuracy;
  report.line("lately", "loss {:.4g}, accuracy {:.2f} % of the last {} frames", recent.loss,
              100 * recent.accuracy, recent.frames);
}

/// A live source has new frames by then.
std::string options_to_go_on(const FilesConfig& files, const FramesRead& read) {
  if (!files.checkpoint.empty()) return "--restart " + files.checkpoint;
  const std::string weights = files.save_weights.empty() ? "" : "--weights " + files.save_weights;
  if (read.is_live)
    return fmt::format("{}: the frames that come then, from 0",
                       weights.empty() ? "the same command" : weights);
  return fmt::format("{}{}--first-frame {}", weights, weights.empty() ? "" : " ", read.next);
}

}  // namespace

StreamEnding ending_of(const StreamConfig& config, const std::string& stopped_by,
                       const StreamCounts& counts, const FramesRead& read) {
  StreamEnding ending;
  ending.first_frame = read.first;
  ending.next_frame = read.next;
  if (!stopped_by.empty()) {
    ending.status = nonlinear::Status::interrupted;
    ending.reason = fmt::format("stopped by {} before frame {}", stopped_by, read.next);
    ending.go_on = options_to_go_on(config.network.files, read);
  } else if (counts.no_number > 0) {
    ending.status = nonlinear::Status::failed;
    ending.reason = fmt::format(
        "{} of {} frames have logits that are infinite or no numbers, and no class: look at the "
        "frames and at --weights{}",
        counts.no_number, counts.frames,
        config.learns() ? ", or use a smaller --learning-rate" : "");
  }
  return ending;
}

std::string why_no_frame(const StreamConfig& config, const FramesRead& read) {
  if (config.most > 0 && config.first + config.most <= read.first)
    return fmt::format("--max-frames {} ends before frame {}, with which --restart goes on",
                       config.most, read.first);
  if (read.there == 0) return fmt::format("{} has no whole frame", config.source());
  return fmt::format("{} has {} frames, and none from frame {} on", config.source(), read.there,
                     read.first);
}

int print(const cli::Context& context, const StreamConfig& config, const StreamEnding& ending,
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
  json["first_frame"] = ending.first_frame;
  json["next_frame"] = ending.next_frame;
  json["left_over"] = ending.left_over;
  json["seconds"]["total"] = seconds;
  report.line("source", "{}", config.source());
  report.line("frames", "{}{}{}", counts.frames,
              ending.first_frame > 0 ? fmt::format(" from frame {} on", ending.first_frame) : "",
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

}  // namespace deeppcr::app
