#include "app/report.hpp"

#include "deeppcr/cli/output.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/error.hpp"

namespace deeppcr::app {

using nonlinear::Status;

Report::Report(const cli::Context& context, const std::string& command, Status status,
               std::string outcome)
    : context_(context),
      status_(status),
      outcome_(outcome.empty() ? to_string(status) : std::move(outcome)),
      table_(fmt::format("{}: {}\n", command, outcome_)) {
  json = {{"command", command}, {"status", outcome_}, {"ranks", context.comm.size()}};
}

void Report::add_model(const ChainConfig& chain) {
  json["model"] = chain.model.model;
  json["steps"] = chain.model.steps;
  json["width"] = chain.model.width;
  json["batch"] = chain.batch;
  const int state = chain.state_width();
  json["state_width"] = state;
  line("chain", "{}, {} steps, width {}{}, batch {}", chain.model.model, chain.model.steps,
       chain.model.width,
       state == chain.model.width ? "" : fmt::format(" (states of {} numbers)", state),
       chain.batch);
}

void Report::add_method(const std::string& method) {
  json["method"] = method;
  line("method", "{} on {} rank{}", method, context_.comm.size(),
       context_.comm.size() == 1 ? "" : "s");
}

void Report::add_solve(const SolverRun& run, const char* iterations,
                       const parallel::Traffic& backward) {
  const nonlinear::SolveReport& solve = run.report;
  json["iterations"] = solve.iterations;
  json["iterations_before"] = run.iterations_before;
  json["residual"] = solve.residual;
  json["tolerance"] = solve.tolerance;
  json["frozen_prefix"] = solve.frozen_prefix;
  json["seconds"] = solve.seconds;
  json["reason"] = solve.reason;
  json["choice"] = solve.choice;
  if (solve.status == Status::interrupted) {
    json["stopped_by"] = run.stopped_by;
    json["checkpoint"] = run.checkpoint;
  }
  line_if("reason", solve.reason);
  line_if("stopped by", run.stopped_by);
  if (!run.checkpoint.empty()) line("go on with", "--restart {}", run.checkpoint);
  const Index before = run.iterations_before;
  line(iterations, "{}{}", solve.iterations,
       before > 0 ? fmt::format(" after {} of an earlier run", before) : "");
  line("residual", "{:.3e}  (asked for: {:.3e})", solve.residual, solve.tolerance);
  line_if("chosen because", solve.choice);
  line("time", "{}", seconds_text(solve.seconds));
  parallel::Traffic sent = total(solve.levels, solve.neighbours);
  sent += backward;
  json["messages"] = sent.messages;
  json["bytes"] = sent.bytes;
  line("sent", "{} messages, {} bytes, {} reduction levels", sent.messages, sent.bytes,
       solve.levels.size());
}

int Report::print(const std::string& reason, const std::string& last) {
  const Index peak = context_.comm.max(static_cast<Index>(peak_resident_bytes()));
  json["peak_bytes_per_rank"] = peak;
  line("peak memory", "{:.4g} MiB a rank", static_cast<double>(peak) / (1024 * 1024));
  const bool early = status_ == Status::failed || status_ == Status::interrupted;
  if (context_.comm.is_root()) {
    if (context_.json) {
      cli::print_out(json.dump() + "\n");
    } else if (!context_.quiet) {
      cli::print_out(last.empty() ? table_ : table_ + last + "\n");
    } else if (early) {
      cli::print_error(fmt::format("deeppcr: {}: {}\n", outcome_, reason));
    }
  }
  if (!early) return static_cast<int>(ExitCode::success);
  return static_cast<int>(status_ == Status::failed ? ExitCode::numerics : ExitCode::interrupted);
}

double seconds_of(const std::map<std::string, double>& seconds, const char* stage) {
  const auto found = seconds.find(stage);
  return found == seconds.end() ? 0 : found->second;
}

parallel::Traffic total(const parallel::TrafficByLevel& levels, parallel::Traffic neighbours) {
  for (const parallel::Traffic& level : levels) neighbours += level;
  return neighbours;
}

std::string seconds_text(const std::map<std::string, double>& seconds) {
  std::string stages;
  for (const auto& [stage, value] : seconds) {
    if (stage == "total" || value <= 0) continue;
    stages += fmt::format("{}{} {:.3g}", stages.empty() ? ": " : ", ", stage, value);
  }
  return fmt::format("total {:.3g} s{}", seconds_of(seconds, "total"), stages);
}

}  // namespace deeppcr::app
