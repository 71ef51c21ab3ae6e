// How many steps have to be done one after another, whatever the number of ranks.
#include <algorithm>

#include "chains.hpp"
#include "deeppcr/core/machine.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "deeppcr/nonlinear/shooting.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

/// Runs that take more sweeps than this are of no use, and left out.
constexpr int kMostSweeps = 100;

Row row_of(const NamedChain& chain, const std::string& method, const LinearSizes& sizes,
           Index chunks, const nonlinear::CriticalPath& path) {
  Row row{"path", chain.name, method, 1, sizes.steps, sizes.width, sizes.batch};
  const auto L = static_cast<double>(sizes.steps);
  row.chunks = chunks;
  row.path_evaluations = path.evaluations / L;
  row.path_products = path.products / L;
  row.baseline = "L step evaluations";
  // A product takes as long as so many evaluations.
  const double columns = std::max(1.0, sizes.width * machine().product_flop_ratio(sizes.width));
  row.predicted = L / (path.evaluations + columns * path.products);
  return row;
}

bool is_nearly_identity(const NamedChain& chain) {
  const OptionValues& own = chain.options.own;
  return own.has("residual-scale") && own.word("residual-scale") == "1/L";
}

void demand_path(Row& row, double most) {
  row.target = fmt::format("path <= {:.3g}", most);
  row.met = row.path_evaluations <= most ? "yes" : "no";
}

void add_shooting(Harness& harness, const NamedChain& chain, const LinearSizes& sizes, Index chunks,
                  NetworkCase& network) {
  using nonlinear::Coupling;
  for (const Coupling coupling : {Coupling::zero, Coupling::identity, Coupling::dense}) {
    nonlinear::ShootingOptions options;
    options.coupling = coupling;
    options.chunks = chunks;
    options.max_iterations = kMostSweeps;
    network.trajectory.fill_with_input();
    const auto report = nonlinear::Shooting(options).solve(*network.model, network.trajectory);
    if (report.status != nonlinear::Status::converged) continue;
    Row row = row_of(chain, fmt::format("shooting+{}", nonlinear::couplings().of(coupling)), sizes,
                     chunks, report.path);
    row.iterations = report.iterations;
    const double share = 1.0 / static_cast<double>(chunks);
    const bool asked = chunks == 64 && sizes.steps == 4096;
    if (asked && chain.name == "mlp tanh" && coupling == Coupling::zero)
      demand_path(row, 1.8 * share + 100.0 / static_cast<double>(sizes.steps));
    if (asked && is_nearly_identity(chain) && coupling == Coupling::identity)
      demand_path(row, 6 * share);
    harness.add(row);
  }
}

/// Newton takes as many iterations on any number of ranks.
void add_newton(Harness& harness, const NamedChain& chain, const LinearSizes& sizes, Index ranks,
                int iterations) {
  for (const char* linear : {"hybrid", "pcr"}) {
    nonlinear::NewtonOptions options;
    options.linear = linear;
    nonlinear::Problem problem{sizes.steps, sizes.batch, sizes.width, static_cast<int>(ranks)};
    Row row = row_of(chain, std::string("newton+") + linear, sizes, ranks,
                     nonlinear::Newton(options).cost(problem, {iterations, 0}).path);
    row.iterations = iterations;
    harness.add(row);
  }
}

void run_chain(Harness& harness, const NamedChain& chain, const LinearSizes& sizes) {
  models::ModelOptions options = chain.options;
  options.steps = sizes.steps;
  options.width = sizes.width;
  NetworkCase network(harness.solo(), "hybrid", options, sizes.batch);
  network.trajectory.fill_with_input();
  const auto newton = nonlinear::Newton({}).solve(*network.model, network.trajectory);
  harness.add(row_of(chain, "sequential", sizes, 1, {static_cast<double>(sizes.steps), 0}));
  for (Index chunks = 2; chunks <= sizes.steps; chunks *= 2) {
    add_shooting(harness, chain, sizes, chunks, network);
    if (newton.status == nonlinear::Status::converged)
      add_newton(harness, chain, sizes, chunks, newton.iterations);
    if (harness.settings().quick) break;
  }
  harness.show();
}

}  // namespace

void run_path(Harness& harness) {
  for (const int n : harness.widths_or({16}))
    for (const Index B : harness.batches_or({1}))
      for (const Index L : harness.steps_or({4096}))
        for (const NamedChain& chain : chosen_chains(harness.settings().chains))
          run_chain(harness, chain, {L, B, n});
}

}  // namespace deeppcr::bench
