#include "app/training_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace deeppcr::app {
namespace {

using train::History;

/// Seconds of this part of the run by stage, slowest rank.
std::map<std::string, double> stage_seconds(const TrainingResult& result) {
  const History& history = result.history;
  const Index here = result.updates - result.updates_before;
  std::map<std::string, double> seconds;
  for (std::size_t s = 0; s < history.stages().size(); ++s) {
    seconds[history.stages()[s]] = history.sum(History::num_columns + static_cast<Index>(s), here);
  }
  seconds["checkpoint"] = result.checkpoint_seconds;
  seconds["total"] = result.seconds;
  return seconds;
}

void add_updates(const TrainConfig& config, const train::Sharing& sharing,
                 const TrainingResult& result, Report& report) {
  const History& history = result.history;
  const Index here = result.updates - result.updates_before;
  const double loss = history.mean(History::loss, kRecent);
  const double accuracy = history.mean(History::accuracy, kRecent);
  const double iterations = history.sum(History::newton_iterations, here);
  const double fallbacks = history.sum(History::fell_back, here);
  const double speed =
      static_cast<double>(here * config.chain.batch) / std::max(result.seconds, 1e-9);
  Json& json = report.json;
  json["updates"] = result.updates;
  json["updates_before"] = result.updates_before;
  json["loss"] = loss;
  if (!std::isnan(accuracy)) json["accuracy"] = accuracy;
  json["iterations"] = iterations;
  json["fallbacks"] = fallbacks;
  json["samples_per_second"] = speed;
  report.line("updates", "{}{}", result.updates,
              result.updates_before > 0
                  ? fmt::format(", {} of them in earlier runs", result.updates_before)
                  : "");
  report.line("loss", "{:.4f}{}, mean of the last {} batches", loss, accuracy_text(accuracy),
              std::min(kRecent, history.rows()));
  if (nonlinear::find(sharing.methods.forward).iterates)
    report.line("iterations", "{:.0f}, {:.0f} fallbacks", iterations, fallbacks);
  report.line("speed", "{:.0f} samples/s", speed);
}

void add_rounds(const train::LocalSteps& local, const TrainingResult& result, Report& report) {
  const std::vector<RoundRow>& rounds = result.rounds;
  const double drift = rounds.empty() ? 0 : rounds.back()[1];
  report.json["local_steps"] = result.local_steps;
  report.json["rounds"] = rounds.size();
  report.json["drift"] = drift;
  report.line("rounds", "{}, each of {} updates on own gradients{}; drift {:.3g} at the last",
              rounds.size(), result.local_steps, local.grow() ? " in the end" : "", drift);
}

void add_delay(const train::Delay& delay, int stages, const std::vector<RoundRow>& looks,
               Report& report) {
  const char* rule = train::old_weights_rules().of(delay.rule);
  const double drift = looks.empty() ? 0 : looks.back()[1];
  Json& json = report.json;
  if (delay.by_stage) {
    for (int s = 0; s < stages; ++s) json["delay"].push_back(delay.of(s, stages));
  } else {
    json["delay"] = delay.updates;
  }
  json["old_weights"] = rule;
  json["drift"] = drift;
  const Index first = delay.of(0, stages);
  report.line("delay", "{} update{}{}, old weights by {}; drift {:.3g} at the last look", first,
              first == 1 ? "" : "s",
              delay.by_stage ? " on the first depth rank, two fewer on each one behind it" : "",
              rule, drift);
}

void add_pipeline(const train::PassMethods& methods, const train::PipelineUse& use,
                  Report& report) {
  Json& json = report.json;
  json["pipeline"] = plan::pipeline_schedules().of(methods.pipeline->schedule);
  json["pipeline_recompute"] = methods.pipeline->recompute;
  json["pipeline_micro_batches"] = use.micro_batches;
  json["pipeline_updates_in_a_row"] = use.updates;
  json["pipeline_idle"] = use.idle;
  json["pipeline_idle_by_formula"] = use.idle_by_formula;
  json["pipeline_held"] = use.held;
  json["pipeline_held_bytes"] = use.held_bytes;
  report.line("pipeline",
              "{} micro-batches, {} of them held at most ({:.3g} MB); idle {:.3g} %, by formula "
              "{:.3g} %{}",
              use.micro_batches, use.held, 1e-6 * use.held_bytes, 100 * use.idle,
              100 * use.idle_by_formula,
              use.updates > 1 ? fmt::format(", of the last {} updates in a row", use.updates) : "");
}

}  // namespace

std::string accuracy_text(double accuracy) {
  return std::isnan(accuracy) ? "" : fmt::format(", accuracy {:.2f} %", 100 * accuracy);
}

void add_evaluation(const train::Evaluation& evaluation, Report& report) {
  Json& json = report.json;
  json["test_samples"] = evaluation.samples;
  if (!evaluation.scored) {
    report.line("test set", "{} samples without truth: no score", evaluation.samples);
    return;
  }
  json["test_loss"] = evaluation.loss;
  report.line("test set", "loss {:.4f}{} of {} samples", evaluation.loss,
              accuracy_text(evaluation.accuracy()), evaluation.samples);
  if (!evaluation.roc.empty()) {
    json["test_auc"] = evaluation.roc.area;
    report.line("AUC", "{:.6f}", evaluation.roc.area);
  }
  if (evaluation.classes == 0) return;
  json["test_accuracy"] = evaluation.accuracy();
  if (evaluation.classes > train::Evaluation::kMostTabulated) {
    report.line("confusion", "none: there are {} classes, and it is for {} at most",
                evaluation.classes, train::Evaluation::kMostTabulated);
  }
  for (auto row = evaluation.confusion.begin(); row != evaluation.confusion.end();
       row += evaluation.classes)
    json["confusion"].push_back(std::vector<Index>(row, row + evaluation.classes));
}

std::string method_of(const train::PassMethods& methods) {
  if (methods.pipeline)
    return fmt::format("pipeline {}", plan::pipeline_schedules().of(methods.pipeline->schedule));
  const OptionValues& own = methods.settings.own;
  const std::string forward = methods.forward + (own.has("linear") ? "+" + own.word("linear") : "");
  const bool usual = methods.backward == nonlinear::find(methods.forward).backward_for(own);
  return usual ? forward : fmt::format("{}, back {}", forward, methods.backward);
}

int print(const cli::Context& context, const TrainConfig& config, const train::Sharing& sharing,
          const TrainingResult& result) {
  Report report(context, "train", result.status);
  Json& json = report.json;
  json["method"] = method_of(sharing.methods);
  json["depth_ranks"] = sharing.depth_ranks;
  json["data_ranks"] = sharing.data_ranks;
  json["checkpoint"] = result.checkpoint;
  json["reason"] = result.reason;
  json["choice"] = sharing.choice;
  json["advice"] = sharing.advice;
  json["seconds"] = stage_seconds(result);
  report.add_model(config.chain);
  report.line("method", "{} on {} depth x {} data ranks", method_of(sharing.methods),
              sharing.depth_ranks, sharing.data_ranks);
  report.line_if("chosen because", sharing.choice);
  report.line_if("reason", result.reason);
  report.line_if("checkpoint", result.checkpoint);
  add_updates(config, sharing, result, report);
  if (config.local.own_gradients) add_rounds(config.local, result, report);
  if (config.delay.any()) add_delay(config.delay, sharing.depth_ranks, result.rounds, report);
  if (result.pipeline) add_pipeline(sharing.methods, *result.pipeline, report);
  if (result.evaluation) add_evaluation(*result.evaluation, report);
  report.line("time", "{}", seconds_text(stage_seconds(result)));
  return report.print(result.reason, sharing.advice);
}

}  // namespace deeppcr::app
