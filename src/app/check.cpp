#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "deeppcr/app/chain.hpp"
#include "deeppcr/app/run_commands.hpp"
#include "deeppcr/sequence/self_check.hpp"

namespace deeppcr::app {
namespace {

struct Row {
  const char* name;
  double error;
  const char* meaning;
};

std::vector<Row> rows_of(const sequence::SelfCheck& check) {
  return {{"jvp", check.jvp_error, "against central differences"},
          {"vjp", check.vjp_error, "<u, A v> against <A^T u, v>"},
          {"blocks", check.blocks_error, "against jvp on unit vectors"},
          {"parameters", check.parameter_error, "gradient against central differences"},
          {"value", check.value_error, "linearise and propagate against value"}};
}

/// The worst of all ranks, each of which has checked its own steps.
sequence::SelfCheck worst(const parallel::Communicator& comm, sequence::SelfCheck check) {
  std::vector<double> values{check.jvp_error,    check.vjp_error,
                             check.blocks_error, check.parameter_error,
                             check.value_error,  check.structure_holds ? 0. : 1.,
                             check.tolerance};
  comm.max(values);
  check.jvp_error = values[0];
  check.vjp_error = values[1];
  check.blocks_error = values[2];
  check.parameter_error = values[3];
  check.value_error = values[4];
  check.structure_holds = values[5] == 0;
  check.tolerance = values[6];
  return check;
}

void print_table(const std::string& model, const sequence::SelfCheck& check) {
  fmt::print("check of {}: {}\n", model, check.passed() ? "passed" : "FAILED");
  for (const Row& row : rows_of(check))
    fmt::print("  {:<11} {:.2e}  {}  {}\n", row.name, row.error,
               row.error <= check.tolerance ? "ok    " : "FAILED", row.meaning);
  fmt::print("  {:<11} {}  {}\n", "structure", check.structure_holds ? "ok" : "FAILED",
             "no entry outside of what the model declares");
  fmt::print("  allowed: relative errors up to {:.2e}\n", check.tolerance);
}

void print_json(const std::string& model, const sequence::SelfCheck& check) {
  nlohmann::ordered_json json{{"command", "check"},
                              {"status", check.passed() ? "passed" : "failed"},
                              {"model", model},
                              {"tolerance", check.tolerance},
                              {"structure_holds", check.structure_holds}};
  for (const Row& row : rows_of(check)) json["errors"][row.name] = row.error;
  fmt::print("{}\n", json.dump());
}

}  // namespace

void add_check_options(boost::program_options::options_description& options) {
  add_model_options(options, DefaultSizes{8, 6, 3});
}

int run_check(const boost::program_options::variables_map& options, const Context& context) {
  RunConfig config;
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
