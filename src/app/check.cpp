#include <cmath>
#include <limits>
#include <vector>

#include "app/chain.hpp"
#include "app/report.hpp"
#include "app/run_commands.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/sequence/self_check.hpp"

namespace deeppcr::app {
namespace {

/// The worst of all ranks, each of which has checked its own steps. What is no number is infinite
/// here: a maximum might lose it.
sequence::SelfCheck worst(const parallel::Communicator& comm, sequence::SelfCheck check) {
  std::vector<double> values{check.structure_holds ? 0. : 1., check.tolerance};
  for (const auto& part : sequence::SelfCheck::parts()) {
    const double error = check.*part.error;
    values.push_back(std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  comm.max(values);
  check.structure_holds = values[0] == 0;
  check.tolerance = values[1];
  std::size_t next = 2;
  for (const auto& part : sequence::SelfCheck::parts()) check.*part.error = values[next++];
  return check;
}

}  // namespace

void add_check_options(cli::Options& options) { add_model_options(options, DefaultSizes{8, 6, 3}); }

int run_check(const OptionValues& options, const cli::Context& context) {
  RunConfig config;
  config.solver.name = "sequential";  // derivatives are checked where each rank's steps are
  config.chain = read_chain_config(options);
  look_at_model(context.comm, config.chain);
  if (in_single_precision(config.chain.model)) {
    throw input_error(
        "check compares with differences of values, which tell little in single precision; give "
        "--precision double");
  }
  check_sizes(context.comm, config);
  const ChainConfig& chain = config.chain;
  const StepRange local = layout_of(context.comm, config).range(context.comm.rank());
  const auto model = models::make(chain.model, local);
  const auto check = worst(
      context.comm, sequence::check_derivatives(*model, local, chain.batch, chain.model.seed));
  Report report(context, "check",
                check.passed() ? nonlinear::Status::converged : nonlinear::Status::failed,
                check.passed() ? "passed" : "failed");
  report.add_model(chain);
  report.json["tolerance"] = check.tolerance;
  report.json["structure_holds"] = check.structure_holds;
  for (const auto& part : sequence::SelfCheck::parts()) {
    const double error = check.*part.error;
    report.json["errors"][part.name] = error;
    report.line(part.name, "{:.2e}  {}  {}", error, error <= check.tolerance ? "ok    " : "FAILED",
                part.meaning);
  }
  report.line("structure", "{}  no entry outside of what the model declares",
              check.structure_holds ? "ok" : "FAILED");
  report.line("allowed", "relative errors up to {:.2e}", check.tolerance);
  return report.print("the derivatives of the model are wrong");
}

}  // namespace deeppcr::app
