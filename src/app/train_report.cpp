#include "app/train_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/output.hpp"

namespace deeppcr::app {
namespace {

using Json = nlohmann::ordered_json;
using nonlinear::Status;
using train::History;

/// Updates that the last loss and accuracy are means over.
constexpr Index kRecent = 100;

template <typename... Args>
void line(const char* label, fmt::format_string<Args...> text, Args&&... args) {
  print_out("  {:<20} {}\n", label, fmt::format(text, std::forward<Args>(args)...));
}

Index updates_here(const TrainReport& report) {
  return report.result.updates - report.result.updates_before;
}

double samples_per_second(const TrainReport& report) {
  const double samples =
      static_cast<double>(updates_here(report)) * static_cast<double>(report.config.chain.batch);
  return report.result.seconds > 0 ? samples / report.result.seconds : 0;
}

/// Seconds of this part of the run by stage, slowest rank.
std::map<std::string, double> stage_seconds(const TrainReport& report) {
  const History& history = report.result.history;
  std::map<std::string, double> seconds;
  for (std::size_t s = 0; s < history.stages().size(); ++s) {
    seconds[history.stages()[s]] =
        history.sum(History::num_columns + static_cast<Index>(s), updates_here(report));
  }
  seconds["checkpoint"] = report.result.checkpoint_seconds;
  seconds["total"] = report.result.seconds;
  return seconds;
}

void add_evaluation(const train::Evaluation& evaluation, Json& json) {
  json["test_samples"] = evaluation.samples;
  json["test_loss"] = evaluation.loss;
  if (evaluation.classes == 0) return;
  json["test_accuracy"] = evaluation.accuracy();
  Json rows = Json::array();
  for (int c = 0; c < evaluation.classes; ++c) {
    const auto row = evaluation.confusion.begin() + c * evaluation.classes;
    rows.push_back(std::vector<Index>(row, row + evaluation.classes));
  }
  json["confusion"] = rows;
}

Json to_json(const TrainReport& report) {
  const TrainingResult& result = report.result;
  const ChainConfig& chain = report.config.chain;
  const Index here = updates_here(report);
  Json json{{"command", "train"},
            {"status", to_string(result.status)},
            {"method", method_of(report.sharing.methods)},
            {"ranks", report.ranks},
            {"depth_ranks", report.sharing.depth_ranks},
            {"data_ranks", report.sharing.data_ranks},
            {"model", chain.model.model},
            {"steps", chain.model.steps},
            {"width", chain.model.width},
            {"batch", chain.batch},
            {"updates", result.updates},
            {"updates_before", result.updates_before},
            {"loss", result.history.mean(History::loss, kRecent)},
            {"iterations", result.history.sum(History::newton_iterations, here)},
            {"fallbacks", result.history.sum(History::fell_back, here)},
            {"samples_per_second", samples_per_second(report)},
            {"seconds", stage_seconds(report)},
            {"peak_bytes_per_rank", report.peak_bytes_per_rank},
            {"checkpoint", result.checkpoint},
            {"reason", result.reason},
            {"choice", report.sharing.choice},
            {"advice", report.sharing.advice}};
  const double accuracy = result.history.mean(History::accuracy, kRecent);
  if (!std::isnan(accuracy)) json["accuracy"] = accuracy;
  if (result.evaluation) add_evaluation(*result.evaluation, json);
  return json;
}

void print_outcome(const TrainReport& report) {
  const TrainingResult& result = report.result;
  const Index here = updates_here(report);
  if (!result.reason.empty()) line("reason", "{}", result.reason);
  if (!result.checkpoint.empty()) line("checkpoint", "{}", result.checkpoint);
  line("updates", "{}{}", result.updates,
       result.updates_before > 0
           ? fmt::format(", {} of them in earlier runs", result.updates_before)
           : "");
  line("loss", "{:.4f}{}, mean of the last {} batches", result.history.mean(History::loss, kRecent),
       accuracy_text(result.history.mean(History::accuracy, kRecent)),
       std::min(kRecent, result.history.rows()));
  if (!nonlinear::find(report.sharing.methods.forward).iterates) return;
  line("iterations", "{:.2f} an update, {:.0f} fallbacks",
       result.history.mean(History::newton_iterations, here),
       result.history.sum(History::fell_back, here));
}

void print_table(const TrainReport& report) {
  const TrainingResult& result = report.result;
  const ChainConfig& chain = report.config.chain;
  print_out("train: {}\n", to_string(result.status));
  line("network", "{}, {} steps, width {}, batch {}", chain.model.model, chain.model.steps,
       chain.model.width, chain.batch);
  line("method", "{} on {} depth x {} data ranks", method_of(report.sharing.methods),
       report.sharing.depth_ranks, report.sharing.data_ranks);
  if (!report.sharing.choice.empty()) line("chosen because", "{}", report.sharing.choice);
  print_outcome(report);
  if (result.evaluation) {
    line("test set", "loss {:.4f}{} of {} samples", result.evaluation->loss,
         accuracy_text(result.evaluation->accuracy()), result.evaluation->samples);
  }
  std::string stages;
  for (const auto& [stage, seconds] : stage_seconds(report)) {
    if (stage != "total") stages += fmt::format(", {} {:.3g}", stage, seconds);
  }
  line("time", "total {:.3g} s{}", result.seconds, stages);
  line("speed", "{:.0f} samples/s", samples_per_second(report));
  line("peak memory", "{:.4g} MiB a rank",
       static_cast<double>(report.peak_bytes_per_rank) / (1024 * 1024));
  if (!report.sharing.advice.empty()) print_out("{}\n", report.sharing.advice);
}

Json to_json(const EvaluationReport& report) {
  const ChainConfig& chain = report.config.chain;
  Json json{{"command", "evaluate"},
            {"status", "converged"},
            {"checkpoint", report.checkpoint},
            {"ranks", report.ranks},
            {"model", chain.model.model},
            {"steps", chain.model.steps},
            {"width", chain.model.width},
            {"updates", report.updates},
            {"data", chain.data},
            {"seconds", {{"total", report.seconds}}}};
  add_evaluation(report.evaluation, json);
  json["loss"] = report.evaluation.loss;
  if (report.evaluation.classes > 0) json["accuracy"] = report.evaluation.accuracy();
  for (const train::NoiseBand& band : report.bands) {
    json["noise_bands"].push_back({{"first_time", band.first},
                                   {"last_time", band.last},
                                   {"loss", band.loss},
                                   {"linear_loss", band.linear_loss}});
  }
  return json;
}

/// What the network adds to the best linear guess, from little noise to much.
void print_bands(const std::vector<train::NoiseBand>& bands) {
  print_out("\n  times          loss  of the best linear denoiser\n");
  for (const train::NoiseBand& band : bands) {
    print_out("  {:<11}  {:.4f}  {:.4f}\n", fmt::format("{} .. {}", band.first, band.last),
              band.loss, band.linear_loss);
  }
}

/// One row a class: how many there are, how many were found, and what they were taken for.
void print_classes(const train::Evaluation& evaluation) {
  const int classes = evaluation.classes;
  const auto entry = [&](int is, int taken_for) {
    return evaluation.confusion[static_cast<std::size_t>(is * classes + taken_for)];
  };
  print_out("\n  class  samples  recall  precision   taken for 0 .. {}\n", classes - 1);
  for (int c = 0; c < classes; ++c) {
    Index samples = 0, taken = 0;
    std::string row;
    for (int k = 0; k < classes; ++k) {
      samples += entry(c, k);
      taken += entry(k, c);
      row += fmt::format(" {:5}", entry(c, k));
    }
    const auto percent = [&](Index of) {
      return of > 0 ? fmt::format("{:.1f} %", 100.0 * static_cast<double>(entry(c, c)) /
                                                  static_cast<double>(of))
                    : std::string("-");
    };
    print_out("  {:5}  {:7}  {:>6}  {:>9}  {}\n", c, samples, percent(samples), percent(taken),
              row);
  }
}

}  // namespace

std::string method_of(const train::PassMethods& methods) {
  const OptionValues& own = methods.settings.own;
  const std::string forward = methods.forward + (own.has("linear") ? "+" + own.word("linear") : "");
  const bool usual = methods.backward == nonlinear::find(methods.forward).backward_for(own);
  return usual ? forward : fmt::format("{}, back {}", forward, methods.backward);
}

int finish(const TrainReport& report, const Context& context) {
  const Status status = report.result.status;
  if (context.comm.is_root()) {
    if (context.json) {
      print_out("{}\n", to_json(report).dump());
    } else if (!context.quiet) {
      print_table(report);
    }
    const bool early = status == Status::failed || status == Status::interrupted;
    if (early && context.quiet && !context.json)
      print_error("deeppcr: {}: {}\n", to_string(status), report.result.reason);
  }
  if (status == Status::failed) return static_cast<int>(ExitCode::numerics);
  if (status == Status::interrupted) return static_cast<int>(ExitCode::interrupted);
  return static_cast<int>(ExitCode::success);
}

int finish(const EvaluationReport& report, const Context& context) {
  if (!context.comm.is_root()) return static_cast<int>(ExitCode::success);
  if (context.json) {
    print_out("{}\n", to_json(report).dump());
  } else if (!context.quiet) {
    const train::Evaluation& evaluation = report.evaluation;
    print_out("evaluate: {} after {} updates\n", report.checkpoint, report.updates);
    line("samples", "{} of {}", evaluation.samples, report.config.chain.data);
    line("loss", "{:.4f}{}", evaluation.loss, accuracy_text(evaluation.accuracy()));
    line("time", "{:.3g} s on {} rank{}", report.seconds, report.ranks,
         report.ranks == 1 ? "" : "s");
    if (evaluation.classes > 0) print_classes(evaluation);
    if (!report.bands.empty()) print_bands(report.bands);
  }
  return static_cast<int>(ExitCode::success);
}

}  // namespace deeppcr::app
