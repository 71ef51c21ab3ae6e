// The honest table: Newton with a parallel linear solver against one step after another.
#include "deeppcr/nonlinear/newton.hpp"

#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/sequence/propagate.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

struct Network {
  const char* name;
  const char* model;
  const char* activation;
};
constexpr Network kNetworks[] = {{"mlp, tanh", "mlp", "tanh"},
                                 {"mlp, relu", "mlp", "relu"},
                                 {"resnet 1/sqrt(L), relu", "resnet", "relu"}};

models::ModelOptions options_of(const Network& network, const LinearSizes& sizes) {
  models::ModelOptions options;
  options.model = network.model;
  options.set("activation", network.activation);
  options.steps = sizes.steps;
  options.width = sizes.width;
  return options;
}

void add_row(Harness& harness, const Network& network, const LinearSizes& sizes,
             const std::string& method, NetworkCase* alone) {
  const int P = harness.team().size();
  NetworkCase together(harness.team(), method, options_of(network, sizes), sizes.batch);
  nonlinear::NewtonOptions options;
  options.linear = method;
  nonlinear::Newton newton(options);
  nonlinear::SolveReport report;
  const std::vector<Seconds> seconds = harness.race(
      {{"propagate", 1, [&] { sequence::propagate(*alone->model, alone->trajectory); }},
       {method, P, [&] {
          together.trajectory.fill_with_input();
          report = newton.solve(*together.model, together.trajectory);
        }}});
  Row row{"newton", network.name, "newton+" + method, P, sizes.steps, sizes.width, sizes.batch};
  row.seconds = seconds[1];
  row.iterations = report.iterations;
  row.compare("sequential execution on 1 rank", seconds[0]);
  if (report.status != nonlinear::Status::converged) row.met = nonlinear::to_string(report.status);
  harness.add(row);
}

}  // namespace

void run_newton(Harness& harness) {
  for (const Network& network : kNetworks)
    for (const int n : harness.widths_or({16}))
      for (const Index B : harness.batches_or({1}))
        for (const Index L : harness.steps_or({1024, 4096, 16384})) {
          const LinearSizes sizes{L, B, n};
          const auto alone = harness.takes_part(1)
                                 ? std::make_unique<NetworkCase>(harness.solo(), "sequential",
                                                                 options_of(network, sizes), B)
                                 : nullptr;
          for (const char* method : {"hybrid", "pcr"})
            add_row(harness, network, sizes, method, alone.get());
        }
}

}  // namespace deeppcr::bench
