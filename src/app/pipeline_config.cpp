#include "app/pipeline_config.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"

namespace deeppcr::app {

namespace {

constexpr const char* kOff = "off";

/// @throws Error where anything else than `method` is asked to do one of the passes
void refuse_beside_pipeline(const OptionValues& options, const std::string& schedule,
                            const std::string& method) {
  for (const char* name : {"nonlinear", "linear", "forward-linear", "backward-linear"}) {
    const std::string value = options.text(name);
    const bool open = value == "auto" || value == "linear" || value == method;
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
  std::vector<std::string> schedules{kOff}, orders;
  for (const char* name : plan::pipeline_schedules().words) {
    schedules.emplace_back(name);
    const plan::ScheduleEntry& entry = plan::entry_of(plan::pipeline_schedules().find(name));
    orders.push_back(fmt::format("{} ({})", name, entry.help));
  }
  options.add(
      "Pipeline of an update",
      {word_option(
           "pipeline", kOff, schedules,
           fmt::format("both passes by --micro-batches that follow each other through the depth "
                       "ranks: {}",
                       fmt::join(orders, ", "))),
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
  if (schedule == kOff) {
    if (recompute)
      throw input_error("--recompute needs --pipeline gpipe, 1f1b, delayed or layerpipe");
    return false;
  }
  const plan::PipelineSchedule order = plan::pipeline_schedules().find(schedule);
  if (recompute && !plan::entry_of(order).recomputes)
    throw input_error(
        "--recompute goes with --pipeline gpipe, 1f1b, delayed or layerpipe; {} holds the states "
        "until their weight gradients all the same",
        schedule);
  methods = methods.piped({order, options.whole("micro-batches"), recompute});
  refuse_beside_pipeline(options, schedule, methods.forward);
  if (plan::entry_of(order).by_stage && options.whole("micro-batches") > 1)
    throw input_error(
        "--micro-batches {} does not go with --pipeline {}, by which mini-batches follow each "
        "other as they are; leave it out, or use --pipeline delayed",
        options.whole("micro-batches"), schedule);
  return true;
}

bool delays(const std::string& schedule) {
  const auto& names = plan::pipeline_schedules().words;
  const bool known = std::find(names.begin(), names.end(), schedule) != names.end();
  return known && plan::entry_of(plan::pipeline_schedules().find(schedule)).delays;
}

train::Delay read_delay(const OptionValues& options) {
  const Index updates = options.whole("delay");
  const std::string& rule = options.word("old-weights");
  const std::string& schedule = options.word("pipeline");
  if (delays(schedule)) {
    const bool by_stage = plan::entry_of(plan::pipeline_schedules().find(schedule)).by_stage;
    if (options.word("clip") == "local")
      throw input_error(
          "--pipeline {} does not go with --clip local, by which data ranks have weights of "
          "their own; leave one of them out",
          schedule);
    if (by_stage && options.given("delay"))
      throw input_error(
          "--delay {} does not go with --pipeline {}, whose delays are those of its stages; leave "
          "it out, or use --pipeline delayed",
          updates, schedule);
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
