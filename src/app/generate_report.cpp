#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/generate.hpp"
#include "app/output.hpp"
#include "app/report_table.hpp"

namespace deeppcr::app {
namespace {

using Json = nlohmann::ordered_json;
using nonlinear::Status;

double total_seconds(const GenerateReport& report) {
  const auto found = report.solve.seconds.find("total");
  return found == report.solve.seconds.end() ? 0 : found->second;
}

parallel::Traffic traffic_of(const nonlinear::SolveReport& solve) {
  parallel::Traffic sum = solve.neighbours;
  for (const parallel::Traffic& level : solve.levels) sum += level;
  return sum;
}

std::string method_of(const GenerateReport& report) {
  const GenerateConfig& config = report.config;
  const SamplingMethod& method = config.method;
  if (method.by_diagonal)
    return fmt::format("{}+{}", method.name, nonlinear::name(config.solver.jacobian));
  const bool dense = method.jacobian == nonlinear::Jacobian::dense;
  return dense ? fmt::format("{}+{}", method.name, config.solver.linear) : method.name;
}

const char* precision_of(const GenerateReport& report) {
  return report.config.sampler.precision == models::NetworkPrecision::float32 ? "float32"
                                                                              : "float64";
}

void add_quality(const Quality& quality, Json& json) {
  if (quality.same_noise_error) json["same_noise_error"] = *quality.same_noise_error;
  const auto add = [&](const char* name, const std::optional<models::Wasserstein>& found) {
    if (!found) return;
    json[name] = found->distance;
    json["wasserstein_exact"] = found->exact;
  };
  add("wasserstein_against", quality.against);
  add("wasserstein_held_out", quality.held_out);
  add("wasserstein_among_held_out", quality.among_held_out);
}

Json to_json(const GenerateReport& report) {
  const nonlinear::SolveReport& solve = report.solve;
  const models::ModelOptions& model = report.config.run.chain.model;
  const parallel::Traffic traffic = traffic_of(solve);
  Json json{{"command", "generate"},
            {"status", to_string(solve.status)},
            {"method", method_of(report)},
            {"ranks", report.ranks},
            {"model", model.model},
            {"steps", model.steps},
            {"eta", report.config.sampler.eta},
            {"width", model.width},
            {"batch", report.config.run.chain.batch},
            {"network_precision", precision_of(report)},
            {"window", report.config.solver.window},
            {"iterations", solve.iterations},
            {"iterations_before", report.iterations_before},
            {"evaluations", solve.evaluations},
            {"sequential_evaluations", solve.sequential_evaluations},
            {"residual", solve.residual},
            {"tolerance", report.config.solver.atol},
            {"frozen_prefix", solve.frozen_prefix},
            {"seconds", solve.seconds},
            {"messages", traffic.messages},
            {"bytes", traffic.bytes},
            {"peak_bytes_per_rank", report.peak_bytes_per_rank},
            {"reason", solve.reason},
            {"choice", report.choice}};
  if (report.sequential_seconds) {
    json["sequential_seconds"] = *report.sequential_seconds;
    json["speedup"] = *report.sequential_seconds / total_seconds(report);
    json["max_error"] = report.states_error;
    json["sample_error"] = report.last_error;
  }
  add_quality(report.quality, json);
  if (solve.status == Status::interrupted) {
    json["stopped_by"] = report.stopped_by;
    json["checkpoint"] = report.checkpoint;
  }
  return json;
}

void add_comparisons(const GenerateReport& report, Table& table) {
  if (report.sequential_seconds) {
    table.line("sequential", "{:.3g} s on these ranks, {:.3g} s by {}: {:.2f} times as fast",
               *report.sequential_seconds, total_seconds(report), method_of(report),
               *report.sequential_seconds / total_seconds(report));
    table.line("error, samples", "{:.3e}  (all states: {:.3e})", report.last_error,
               report.states_error);
  }
  const Quality& quality = report.quality;
  if (quality.same_noise_error)
    table.line("difference, same noise", "{:.3e}", *quality.same_noise_error);
  const auto distance = [&](const char* label, const std::optional<models::Wasserstein>& found) {
    if (found)
      table.line(label, "{:.4g}  ({})", found->distance, found->exact ? "exact" : "sliced");
  };
  distance("Wasserstein, other samples", quality.against);
  distance("Wasserstein, held-out data", quality.held_out);
  distance("  two held-out sets", quality.among_held_out);
}

std::string to_table(const GenerateReport& report) {
  const nonlinear::SolveReport& solve = report.solve;
  const models::ModelOptions& model = report.config.run.chain.model;
  const Index window = report.config.solver.window;
  const auto L = static_cast<double>(model.steps);
  Table table;
  table.title(fmt::format("generate: {}", to_string(solve.status)));
  table.line("chain", "{} steps, eta {:g}, {} samples of {} latent numbers, network in {}",
             model.steps, report.config.sampler.eta, report.config.run.chain.batch, model.width,
             precision_of(report));
  table.line("method", "{} on {} rank{}", method_of(report), report.ranks,
             report.ranks == 1 ? "" : "s");
  if (!report.choice.empty()) table.line("choice", "{}", report.choice);
  if (!solve.reason.empty()) table.line("reason", "{}", solve.reason);
  if (!report.stopped_by.empty()) table.line("stopped by", "{}", report.stopped_by);
  if (!report.checkpoint.empty()) table.line("go on with", "--restart {}", report.checkpoint);
  if (report.config.method.sweeps) {
    table.line("sweeps", "{}{}, window {}", solve.iterations,
               report.iterations_before > 0
                   ? fmt::format(" after {} of an earlier run", report.iterations_before)
                   : "",
               window == 0 ? "of all steps" : fmt::format("{}", window));
    table.line("tolerance", "{:.1e}", report.config.solver.atol);
  }
  table.line("network evaluations", "{} a sample ({:.2f} times the steps), {} one after another",
             solve.evaluations, static_cast<double>(solve.evaluations) / L,
             solve.sequential_evaluations);
  table.line("time", "{:.3g} s", total_seconds(report));
  const parallel::Traffic traffic = traffic_of(solve);
  table.line("sent", "{} messages, {} bytes", traffic.messages, traffic.bytes);
  add_comparisons(report, table);
  return table.text();
}

}  // namespace

int finish(const GenerateReport& report, const Context& context) {
  const Status status = report.solve.status;
  const bool ended_early = status == Status::failed || status == Status::interrupted;
  if (context.comm.is_root()) {
    if (context.json) {
      print_out("{}\n", to_json(report).dump());
    } else if (!context.quiet) {
      print_out("{}", to_table(report));
    } else if (ended_early) {
      print_error("deeppcr: {}: {} {}\n", to_string(status), report.solve.reason,
                  report.stopped_by);
    }
  }
  if (status == Status::interrupted) return static_cast<int>(ExitCode::interrupted);
  return static_cast<int>(status == Status::failed ? ExitCode::numerics : ExitCode::success);
}

}  // namespace deeppcr::app
