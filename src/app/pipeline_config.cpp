#include "app/pipeline_config.hpp"

#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"

namespace deeppcr::app {

namespace {

/// @throws Error where anything else is asked to do one of the passes
void refuse_beside_pipeline(const OptionValues& options, const std::string& schedule) {
  for (const char* name : {"nonlinear", "linear", "forward-linear", "backward-linear"}) {
    const std::string value = options.text(name);
    const bool open = value == "auto" || value == "linear" || value == "pipeline";
    if (!open)
      throw input_error(
          "--{} {} does not go with --pipeline {}, which does both passes; leave one "
          "of them out",
          name, value, schedule);
  }
  for (const char* name : {"chunks", "block-steps"}) {
    if (options.whole(name) > 0)
      throw input_error("--{} does not go with --pipeline {}; leave it out", name, schedule);
  }
  const std::string layout = options.text("pipeline-layout");
  if (layout != "auto" && layout != "contiguous")
    throw input_error(
        "--pipeline-layout {} does not go with --pipeline {}, whose ranks have a range of steps "
        "each; leave it out",
        layout, schedule);
}

}  // namespace

void add_pipeline_options(cli::Options& options) {
  std::vector<std::string> schedules{"off"};
  for (const char* name : plan::pipeline_schedules().words) schedules.emplace_back(name);
  options.add(
      "Pipeline of an update",
      {word_option(
           "pipeline", "off", schedules,
           "both passes by --micro-batches that follow each other through the depth ranks: "
           "gpipe (all forward, then all back), 1f1b (forward and back in turns, which "
           "holds fewer states), zero-bubble (weight gradients fill the gaps), delayed (1f1b, "
           "gradients at the weights of --delay updates ago), layerpipe (whole mini-batches, "
           "gradients at weights of 2 (D - 1 - s) updates ago on depth rank s of D)"),
       flag_option(
           "recompute",
           "of all but --pipeline zero-bubble: compute states again before they go back, to "
           "hold fewer"),
       whole_option("delay", 1, 1, 1000,
                    "of --pipeline delayed: updates that the weights of each gradient are behind"),
       word_option(
           "old-weights", "keep", {"exact", "average", "keep"},
           "of --pipeline delayed and layerpipe: the weights of earlier updates are rebuilt "
           "from the updates since (exact) or from their running mean (average), or kept")});
}

bool read_pipeline(const OptionValues& options, train::PassMethods& methods) {
  if (!options.has("pipeline")) return false;
  const std::string schedule = options.text("pipeline");
  const bool recompute = options.flag("recompute");
  if (schedule == "off") {
    if (recompute)
      throw input_error("--recompute needs --pipeline gpipe, 1f1b, delayed or layerpipe");
    return false;
  }
  const plan::PipelineSchedule order = plan::pipeline_schedules().find(schedule);
  if (recompute && order == plan::PipelineSchedule::zero_bubble)
    throw input_error(
        "--recompute goes with --pipeline gpipe, 1f1b, delayed or layerpipe; zero-bubble holds the "
        "states until their weight gradients all the same");
  refuse_beside_pipeline(options, schedule);
  if (order == plan::PipelineSchedule::layerpipe && options.whole("micro-batches") > 1)
    throw input_error(
        "--micro-batches {} does not go with --pipeline layerpipe, by which mini-batches follow "
        "each "
        "other as they are; leave it out, or use --pipeline delayed",
        options.whole("micro-batches"));
  methods = methods.piped({order, options.whole("micro-batches"), recompute});
  return true;
}

train::Delay read_delay(const OptionValues& options) {
  const Index updates = options.whole("delay");
  const std::string& rule = options.word("old-weights");
  const std::string& schedule = options.word("pipeline");
  if (schedule != "off" && plan::delays(plan::pipeline_schedules().find(schedule))) {
    const bool by_stage =
        plan::pipeline_schedules().find(schedule) == plan::PipelineSchedule::layerpipe;
    if (options.word("clip") == "local")
      throw input_error(
          "--pipeline {} does not go with --clip local, by which data ranks have weights of "
          "their own; leave one of them out",
          schedule);
    if (by_stage && options.given("delay"))
      throw input_error(
          "--delay {} does not go with --pipeline layerpipe, whose delays are those of its stages; "
          "leave it out, or use --pipeline delayed",
          updates);
    return {by_stage ? 0 : updates, train::old_weights_rules().find(rule), by_stage};
  }
  if (rule != "keep")
    throw input_error(
        "--old-weights {} needs --pipeline delayed or layerpipe: other gradients are at the newest "
        "weights; add it, or leave --old-weights out",
        rule);
  if (updates > 1)
    throw input_error(
        "--delay {} needs --pipeline delayed: other gradients are at the newest weights; add it, "
        "or leave --delay out",
        updates);
  return {};
}

}  // namespace deeppcr::app
