// What the trace of residuals and timings costs: whole solves, with the opening and closing of the
// file.
#include <unistd.h>

#include <filesystem>

#include "deeppcr/app/storage.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::app::bench {
namespace {

/// At most 5 % more time.
constexpr double kLeastSpeedup = 0.95;

/// A file of this run's own in the folder for temporary files; gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const parallel::Communicator& comm) : comm_(comm) {
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("deeppcr-bench-{}.h5", static_cast<long>(getpid()));
    std::string text = path_.string();
    comm.broadcast(text, 0);
    path_ = text;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    if (comm_.is_root()) std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  const parallel::Communicator& comm_;
  std::filesystem::path path_;
};

RunConfig config_of(const LinearSizes& sizes, const std::string& trace) {
  RunConfig config;
  config.chain.model.steps = sizes.steps;
  config.chain.model.width = sizes.width;
  config.chain.batch = sizes.batch;
  config.files.trace = trace;
  config.files.trace_states = "none";
  return config;
}

void run_case(Harness& harness, const LinearSizes& sizes) {
  const TemporaryFile file(harness.team());
  const RunConfig config = config_of(sizes, file.path());
  NetworkCase network(harness.team(), "hybrid", config.chain.model, sizes.batch);
  nonlinear::Newton newton(harness.team(), *network.model, config.solver.newton);
  nonlinear::SolveReport report;
  const auto solve = [&](bool with_trace) {
    network.trajectory.fill_with_input();
    const auto recorder =
        with_trace ? storage::record(harness.context(), config, std::nullopt, network.trajectory,
                                     [] { return storage::Wish::nothing; })
                   : nullptr;
    report = newton.solve(network.trajectory, recorder ? &recorder->monitor() : nullptr);
    if (recorder) recorder->finish(report, {});
  };
  const int P = harness.team().size();
  const std::vector<Seconds> seconds = harness.race(
      {{"without trace", P, [&] { solve(false); }}, {"with trace", P, [&] { solve(true); }}});
  Row row{"trace",    "Newton with hybrid, whole solve", "with trace", P, sizes.steps, sizes.width,
          sizes.batch};
  row.seconds = seconds[1];
  row.iterations = report.iterations;
  row.compare("without trace", seconds[0]);
  row.demand(kLeastSpeedup);
  harness.add(row);
}

}  // namespace

void run_trace(Harness& harness) {
  if (!storage::unavailable().empty()) {
    harness.note("trace: " + storage::unavailable());
    return;
  }
  for (const int n : harness.widths_or({16}))
    for (const Index L : harness.steps_or({16384}))
      for (const Index B : harness.batches_or({8})) run_case(harness, {L, B, n});
}

}  // namespace deeppcr::app::bench
