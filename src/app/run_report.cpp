#include "app/run_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/output.hpp"
#include "app/report_table.hpp"

namespace deeppcr::app {
namespace {

using Json = nlohmann::ordered_json;
using nonlinear::Status;

/// What ran, such as "newton+hybrid" or "shooting+identity".
std::string method_of(const RunReport& report) {
  const nonlinear::SolveReport& solve = report.forward.report;
  return solve.linear.empty() ? solve.method : solve.method + "+" + solve.linear;
}

parallel::Traffic total(const parallel::TrafficByLevel& levels, parallel::Traffic sum) {
  for (const parallel::Traffic& level : levels) sum += level;
  return sum;
}

parallel::Traffic total(const RunReport& report) {
  parallel::Traffic sum = total(report.forward.report.levels, report.forward.report.neighbours);
  if (report.gradient) sum += total(report.gradient->levels, report.gradient->neighbours);
  return sum;
}

double seconds_of(const std::map<std::string, double>& seconds, const char* stage) {
  const auto found = seconds.find(stage);
  return found == seconds.end() ? 0 : found->second;
}

/// Wall time of what `--verify` repeats in sequence.
double total_seconds(const RunReport& report) {
  return seconds_of(report.forward.report.seconds, "total") +
         (report.gradient ? seconds_of(report.gradient->seconds, "total") : 0);
}

Json levels_json(const parallel::TrafficByLevel& levels) {
  Json list = Json::array();
  for (const parallel::Traffic& level : levels)
    list.push_back({{"messages", level.messages}, {"bytes", level.bytes}});
  return list;
}

void add_gradient(const GradientSummary& gradient, Json& json) {
  json["loss"] = gradient.loss;
  json["accuracy"] = gradient.accuracy;
  json["gradient_norms"] = gradient.norms;
  json["gradient_seconds"] = gradient.seconds;
  json["gradient_levels"] = levels_json(gradient.levels);
  json["gradient_method"] = gradient.method;
  json["gradient_sweeps"] = gradient.sweeps;
  json["gradient_residual"] = gradient.residual;
  json["gradient_path_evaluations"] = gradient.path.evaluations;
  json["gradient_path_products"] = gradient.path.products;
  if (!gradient.reason.empty()) json["gradient_reason"] = gradient.reason;
}

/// "total 0.51 s: residual 0.1, reduce 0.2"; stages that took no time are left out.
std::string seconds_text(const std::map<std::string, double>& seconds) {
  std::string stages;
  for (const auto& [stage, value] : seconds) {
    if (stage == "total" || value <= 0) continue;
    stages += fmt::format("{}{} {:.3g}", stages.empty() ? "" : ", ", stage, value);
  }
  return fmt::format("total {:.3g} s{}{}", seconds_of(seconds, "total"), stages.empty() ? "" : ": ",
                     stages);
}

/// "0.51 L step evaluations (n^2), 0 products (n^3)"
std::string path_text(const nonlinear::CriticalPath& path, Index steps) {
  const auto L = static_cast<double>(std::max<Index>(1, steps));
  return fmt::format("{:.4g} L step evaluations (n^2), {:.4g} L products (n^3)",
                     path.evaluations / L, path.products / L);
}

void add_outcome(const RunReport& report, Table& table) {
  const nonlinear::SolveReport& solve = report.forward.report;
  if (!solve.reason.empty()) table.line("reason", "{}", solve.reason);
  if (!report.forward.stopped_by.empty()) table.line("stopped by", "{}", report.forward.stopped_by);
  if (!report.forward.checkpoint.empty())
    table.line("go on with", "--restart {}", report.forward.checkpoint);
  const Index before = report.forward.iterations_before;
  table.line("iterations", "{}{}", solve.iterations,
             before > 0 ? fmt::format(" after {} of an earlier run", before) : "");
  table.line("residual", "{:.3e}  (asked for: {:.3e})", solve.residual, solve.tolerance);
  table.line("exact states", "{} of {}, bit for bit those of sequential execution",
             solve.exact_states, report.config.chain.model.steps);
  if (solve.lyapunov != 0)
    table.line("Lyapunov exponent", "{:+.4f} a step, estimated", solve.lyapunov);
  if (solve.growth > 0)
    table.line("growth", "a change of a state grows up to {:.1e} times further on, estimated",
               std::exp(solve.growth));
  if (!solve.choice.empty()) table.line("chosen because", "{}", solve.choice);
  const std::string chunks =
      solve.chunks > 0 ? fmt::format(", with {} chunks", solve.chunks) : std::string();
  table.line("in a row", "{}{}", path_text(solve.path, report.config.chain.model.steps), chunks);
}

void add_verification(const RunReport& report, Table& table) {
  const Verification& verification = *report.verification;
  table.line("sequential", "{:.3g} s on these {} ranks, {:.3g} s by {}, one run each",
             verification.sequential_seconds, report.ranks, total_seconds(report),
             method_of(report));
  for (const auto& [name, error] : verification.errors)
    table.line(("error, " + name).c_str(), "{:.3e}  (relative to the largest)", error);
}

}  // namespace

Json to_json(const RunReport& report) {
  const nonlinear::SolveReport& solve = report.forward.report;
  const ChainConfig& chain = report.config.chain;
  const parallel::Traffic traffic = total(report);
  Json json{{"command", report.command},
            {"status", to_string(solve.status)},
            {"method", method_of(report)},
            {"ranks", report.ranks},
            {"model", chain.model.model},
            {"steps", chain.model.steps},
            {"width", chain.model.width},
            {"batch", chain.batch},
            {"iterations", solve.iterations},
            {"iterations_before", report.forward.iterations_before},
            {"residual", solve.residual},
            {"tolerance", solve.tolerance},
            {"frozen_prefix", solve.frozen_prefix},
            {"exact_states", solve.exact_states},
            {"lyapunov", solve.lyapunov},
            {"log_growth", solve.growth},
            {"chunks", solve.chunks},
            {"path_evaluations", solve.path.evaluations},
            {"path_products", solve.path.products},
            {"choice", solve.choice},
            {"seconds", solve.seconds},
            {"messages", traffic.messages},
            {"bytes", traffic.bytes},
            {"levels", levels_json(solve.levels)},
            {"peak_bytes_per_rank", report.peak_bytes_per_rank},
            {"reason", solve.reason},
            {"advice", advice(report)}};
  if (report.gradient) add_gradient(*report.gradient, json);
  if (report.verification) {
    json["sequential_seconds"] = report.verification->sequential_seconds;
    json["max_error"] = report.verification->max_error();
    json["errors"] = report.verification->errors;
  }
  if (solve.status == Status::interrupted) {
    json["stopped_by"] = report.forward.stopped_by;
    json["checkpoint"] = report.forward.checkpoint;
  }
  return json;
}

std::string to_table(const RunReport& report) {
  const ChainConfig& chain = report.config.chain;
  const parallel::Traffic traffic = total(report);
  Table table;
  table.title(fmt::format("{}: {}", report.command, to_string(report.forward.report.status)));
  table.line("chain", "{}, {} steps, width {}, batch {}", chain.model.model, chain.model.steps,
             chain.model.width, chain.batch);
  table.line("method", "{} on {} rank{}", method_of(report), report.ranks,
             report.ranks == 1 ? "" : "s");
  add_outcome(report, table);
  if (report.gradient) {
    const GradientSummary& gradient = *report.gradient;
    table.line(
        "loss", "{:.6g}{}", gradient.loss,
        std::isnan(gradient.accuracy) ? "" : fmt::format(", accuracy {:.3g}", gradient.accuracy));
    table.line("backward by", "{}{}", gradient.method,
               gradient.reason.empty() ? "" : ": " + gradient.reason);
    if (gradient.sweeps > 0)
      table.line("sweeps backward", "{}, residual {:.3e} of the largest gradient", gradient.sweeps,
                 gradient.residual);
    table.line("in a row, backward", "{}", path_text(gradient.path, chain.model.steps));
    for (const auto& [name, norm] : gradient.norms)
      table.line(("|gradient|, " + name).c_str(), "{:.6e}", norm);
  }
  table.line("time, forward", "{}", seconds_text(report.forward.report.seconds));
  if (report.gradient) table.line("time, backward", "{}", seconds_text(report.gradient->seconds));
  table.line("sent", "{} messages, {} bytes, {} reduction levels", traffic.messages, traffic.bytes,
             report.forward.report.levels.size());
  table.line("peak memory", "{:.4g} MiB a rank",
             static_cast<double>(report.peak_bytes_per_rank) / (1024 * 1024));
  if (report.verification) add_verification(report, table);
  const std::string sentence = advice(report);
  if (!sentence.empty()) table.title(sentence);
  return table.text();
}

namespace {

/// Seconds that sequential execution would take, without --verify: from one evaluation of all
/// residuals, which is the work of a rank's part of the chain, or from the sweeps.
double sequential_estimate(const RunReport& report) {
  const nonlinear::SolveReport& solve = report.forward.report;
  constexpr double kBackward = 2;  // of a forward pass
  const double passes = report.gradient ? 1 + kBackward : 1;
  const auto steps = static_cast<double>(report.config.chain.model.steps);
  if (seconds_of(solve.seconds, "sweep") > 0)
    return passes * seconds_of(solve.seconds, "sweep") * steps /
           std::max(1.0, solve.path.evaluations);
  return passes * seconds_of(solve.seconds, "residual") / (solve.iterations + 1) * report.ranks;
}

}  // namespace

std::string advice(const RunReport& report) {
  const nonlinear::SolveReport& solve = report.forward.report;
  const bool solved = solve.status == Status::converged || solve.status == Status::fell_back;
  const Index L = report.config.chain.model.steps;
  const bool backward_too =
      !report.gradient || (report.gradient->path.products == 0 &&
                           report.gradient->path.evaluations >= static_cast<double>(L));
  if ((solve.sequential_evaluations == L && backward_too) || !solved) return "";
  const double estimate = sequential_estimate(report);
  const double sequential =
      report.verification ? report.verification->sequential_seconds : estimate;
  const double ours = total_seconds(report);
  if (sequential <= 0 || ours <= sequential) return "";
  return fmt::format(
      "sequential {} {:.1f} times faster on these ranks{}: use --nonlinear sequential",
      report.verification ? "was" : "would be about", ours / sequential,
      report.verification ? ", in one run each" : "");
}

int finish(const RunReport& report, const Context& context) {
  if (context.comm.is_root()) {
    if (context.json) {
      print_out("{}\n", to_json(report).dump());
    } else if (!context.quiet) {
      print_out("{}", to_table(report));
    }
    const bool ended_early = report.forward.report.status == Status::failed ||
                             report.forward.report.status == Status::interrupted;
    if (context.quiet && ended_early && !context.json) {
      const std::string& cause = report.forward.stopped_by;
      print_error("deeppcr: {}: {}{}\n", to_string(report.forward.report.status),
                  report.forward.report.reason, cause.empty() ? "" : " (" + cause + ")");
    }
  }
  switch (report.forward.report.status) {
    case Status::converged:
    case Status::fell_back:
      return static_cast<int>(ExitCode::success);
    case Status::failed:
      return static_cast<int>(ExitCode::numerics);
    case Status::interrupted:
      return static_cast<int>(ExitCode::interrupted);
  }
  return static_cast<int>(ExitCode::internal);
}

}  // namespace deeppcr::app
