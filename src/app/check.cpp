#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/chain.hpp"
#include "app/output.hpp"
#include "app/run_commands.hpp"
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

void print_table(const std::string& model, const sequence::SelfCheck& check) {
  print_out("check of {}: {}\n", model, check.passed() ? "passed" : "FAILED");
  for (const auto& part : sequence::SelfCheck::parts())
    print_out("  {:<11} {:.2e}  {}  {}\n", part.name, check.*part.error,
              check.*part.error <= check.tolerance ? "ok    " : "FAILED", part.meaning);
  print_out("  {:<11} {}  {}\n", "structure", check.structure_holds ? "ok" : "FAILED",
            "no entry outside of what the model declares");
  print_out("  allowed: relative errors up to {:.2e}\n", check.tolerance);
}

void print_json(const std::string& model, const sequence::SelfCheck& check) {
  nlohmann::ordered_json json{{"command", "check"},
                              {"status", check.passed() ? "passed" : "failed"},
                              {"model", model},
                              {"tolerance", check.tolerance},
                              {"structure_holds", check.structure_holds}};
  for (const auto& part : sequence::SelfCheck::parts())
    json["errors"][part.name] = check.*part.error;
  print_out("{}\n", json.dump());
}

}  // namespace

void add_check_options(boost::program_options::options_description& options) {
  add_model_options(options, DefaultSizes{8, 6, 3});
}

int run_check(const boost::program_options::variables_map& options, const Context& context) {
  RunConfig config;
  config.solver.name = "sequential";  // derivatives are checked where each rank's steps are
  config.chain = read_chain_config(options);
  check_sizes(context.comm, config);
  const ChainConfig& chain = config.chain;
  const StepRange local = layout_of(context.comm, config).range(context.comm.rank());
  const auto model = models::make(chain.model, local);
  const auto check = worst(
      context.comm, sequence::check_derivatives(*model, local, chain.batch, chain.model.seed));
  if (context.comm.is_root() && context.json) print_json(chain.model.model, check);
  if (context.comm.is_root() && !context.json && !context.quiet)
    print_table(chain.model.model, check);
  return static_cast<int>(check.passed() ? ExitCode::success : ExitCode::numerics);
}

}  // namespace deeppcr::app
