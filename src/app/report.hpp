#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "app/config.hpp"
#include "app/run_solver.hpp"
#include "deeppcr/cli/command.hpp"

namespace deeppcr::app {

using Json = nlohmann::ordered_json;

/// What a command tells at its end: a table for people, a JSON object for programs.
class Report {
 public:
  /// outcome: the status in words, where it has others than the solvers'.
  Report(const cli::Context& context, const std::string& command, nonlinear::Status status,
         std::string outcome = "");

  Json json;
  /// A line of the table: a label and a text.
  template <typename... Args>
  void line(const std::string& label, fmt::format_string<Args...> text, Args&&... args) {
    table_ += fmt::format("  {:<28} {}\n", label, fmt::format(text, std::forward<Args>(args)...));
  }
  /// The same, where there is something to say.
  void line_if(const std::string& label, const std::string& text) {
    if (!text.empty()) line(label, "{}", text);
  }
  /// A line without a label.
  void text(const std::string& text) { table_ += text + "\n"; }

  /// The chain in one line, and as fields.
  void add_model(const ChainConfig& chain);
  void add_method(const std::string& method);
  /// How the solve went, its time and messages, and what stopped it; "iterations" are called so.
  /// `backward`: sent by the pass behind it, counted too.
  void add_solve(const SolverRun& run, const char* iterations,
                 const parallel::Traffic& backward = {});

  /// Prints on rank 0 as the options ask, on stderr too where a quiet run ended early, for this
  /// reason; `last` ends the table. Returns the exit code that goes with the status. Collective.
  int print(const std::string& reason, const std::string& last = "");

 private:
  const cli::Context& context_;
  nonlinear::Status status_;
  std::string outcome_;
  std::string table_;
};

/// "total 0.51 s: residual 0.1, reduce 0.2"; stages that took no time are left out.
std::string seconds_text(const std::map<std::string, double>& seconds);
double seconds_of(const std::map<std::string, double>& seconds, const char* stage);
/// All together.
parallel::Traffic total(const parallel::TrafficByLevel& levels, parallel::Traffic neighbours);

}  // namespace deeppcr::app
