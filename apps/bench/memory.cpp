// What a Newton solve holds beside the weights: hybrid stores no block of a step, pcr stores three.
#include <fstream>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

constexpr Index kKibi = 1024;

/// A line of /proc/self/status in bytes; 0 where the system has none.
Index process_bytes(const std::string& name) {
  std::ifstream lines("/proc/self/status");
  std::string word;
  Index kibibytes = 0;
  while (lines >> word) {
    if (word == name + ":" && lines >> kibibytes) return kibibytes * kKibi;
  }
  return 0;
}

/// Gives back what earlier cases have freed, then makes the largest resident memory so far (VmHWM)
/// the present one.
void reset_resident_peak() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  std::ofstream("/proc/self/clear_refs") << "5";
}

/// Largest resident memory of one rank during a solve, beyond what it held before: PETSc's and
/// MPI's as well.
Index measure(const Harness& harness, NetworkCase& network, const std::string& method,
              nonlinear::SolveReport& report) {
  reset_resident_peak();
  const Index before = process_bytes("VmRSS");
  nonlinear::NewtonOptions options;
  options.linear = method;
  nonlinear::Newton newton(options);
  network.trajectory.fill_with_input();
  report = newton.solve(*network.model, network.trajectory);
  return harness.team().max(process_bytes("VmHWM") - before);
}

/// A linear solver of Newton's method, and whether it keeps the blocks of all steps.
struct Method {
  std::string name;
  bool keeps_blocks;
};

void add_rows(Harness& harness, const LinearSizes& sizes, const Method& method) {
  models::ModelOptions options;
  options.steps = sizes.steps;
  options.width = sizes.width;
  NetworkCase network(harness.team(), method.name, options, sizes.batch);
  const Index steps = harness.team().max(network.trajectory.local_range().size());
  const Index blocks = steps * sizes.batch * sizes.width * sizes.width * Index{sizeof(Real)};
  nonlinear::SolveReport report;
  Row row{"memory",
          "resident, beside the weights",
          "newton+" + method.name,
          harness.team().size(),
          sizes.steps,
          sizes.width,
          sizes.batch};
  row.peak_bytes = measure(harness, network, method.name, report);
  const double seconds = report.seconds["total"];
  row.seconds = {seconds, seconds, seconds, 1};
  row.iterations = report.iterations;
  row.baseline = "a block for each step and sample";
  if (!method.keeps_blocks) {
    row.target = fmt::format("< {}", blocks);
    row.met = row.peak_bytes < blocks ? "yes" : "no";
  }
  harness.add(row);
}

}  // namespace

void run_memory(Harness& harness) {
  for (const int n : harness.widths_or({64}))
    for (const Index L : harness.steps_or({2048}))
      for (const Index B : harness.batches_or({1}))
        for (const Method& method : {Method{"hybrid", false}, Method{"pcr", true}})
          add_rows(harness, {L, B, n}, method);
}

}  // namespace deeppcr::bench
