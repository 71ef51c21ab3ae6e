// What the trace of residuals and timings costs: whole solves, with the opening and closing of the
// file.
#include <unistd.h>

#include <filesystem>

#include "app/solve_files.hpp"
#include "deeppcr/nonlinear/newton.hpp"
#include "network_case.hpp"
#include "suites.hpp"

namespace deeppcr::bench {
namespace {

/// At most 5 % more time.
constexpr double kLeastSpeedup = 0.95;

/// A folder of this run's own among the temporary files; gone at the end. Each trace gets a new
/// name, as a user's would: replacing an older one means reading that one first.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const parallel::Communicator& comm) : comm_(comm) {
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("deeppcr-bench-{}", static_cast<long>(getpid()));
    std::string text = path_.string();
    comm.broadcast(text, 0);
    path_ = text;
    parallel::agree(comm, [&] {
      if (comm_.is_root()) std::filesystem::create_directory(path_);
    });
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (comm_.is_root()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string new_file() { return (path_ / fmt::format("{}.h5", ++files_)).string(); }

 private:
  const parallel::Communicator& comm_;
  std::filesystem::path path_;
  int files_ = 0;
};

app::RunConfig config_of(const LinearSizes& sizes) {
  app::RunConfig config;
  config.chain.model.steps = sizes.steps;
  config.chain.model.width = sizes.width;
  config.chain.batch = sizes.batch;
  config.files.trace_states = "none";
  return config;
}

void run_case(Harness& harness, const LinearSizes& sizes) {
  TemporaryFolder folder(harness.team());
  app::RunConfig config = config_of(sizes);
  NetworkCase network(harness.team(), "hybrid", config.chain.model, sizes.batch);
  const auto newton = nonlinear::find("newton").make();
  nonlinear::SolveReport report;
  const auto solve = [&](bool with_trace) {
    network.trajectory.fill_with_input();
    if (!with_trace) {
      report = newton->solve(*network.model, network.trajectory);
      return;
    }
    config.files.trace = folder.new_file();
    app::SolveFiles files(harness.context(), config, nullptr, network.trajectory);
    report = newton->solve(*network.model, network.trajectory, {&files});
    files.finish(report);
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
  for (const int n : harness.widths_or({16}))
    for (const Index L : harness.steps_or({16384}))
      for (const Index B : harness.batches_or({8})) run_case(harness, {L, B, n});
}

}  // namespace deeppcr::bench
