#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "app/config.hpp"
#include "app/forward.hpp"
#include "deeppcr/app/command.hpp"

namespace deeppcr::app {

/// What the backward pass adds to a report.
struct GradientSummary {
  double loss = 0;
  double accuracy = 0;
  std::map<std::string, double> norms;    ///< 2-norms: "input", "parameters", "embedding", "head"
  std::map<std::string, double> seconds;  ///< by stage and "total"
  parallel::TrafficByLevel levels;
  parallel::Traffic neighbours;
  std::string method;   ///< what ran, such as "hybrid" or "shooting+gmres"
  std::string reason;   ///< why shooting ended by substitution; empty otherwise
  int sweeps = 0;       ///< of shooting
  double residual = 0;  ///< of shooting: largest mismatch over the largest gradient
  nonlinear::CriticalPath path;
};

/// All that the final report is made of; equal on all ranks.
struct RunReport {
  const char* command = "";
  RunConfig config;
  int ranks = 1;
  ForwardResult forward;
  std::optional<GradientSummary> gradient;
  std::optional<Verification> verification;
  Index peak_bytes_per_rank = 0;
};

/// One JSON object; the fields are listed in the README. What is not a number is null.
nlohmann::ordered_json to_json(const RunReport& report);
/// A table for people.
std::string to_table(const RunReport& report);
/// Says in a sentence when sequential code would have been faster, measured or estimated; else
/// empty.
std::string advice(const RunReport& report);

/// Prints the report on rank 0's stdout as the options ask, and returns the exit code that goes
/// with the status.
int finish(const RunReport& report, const Context& context);

}  // namespace deeppcr::app
