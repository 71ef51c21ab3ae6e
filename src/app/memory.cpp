#include "app/memory.hpp"

#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

double estimate_bytes(const RunConfig& config, const nonlinear::Solver& solver,
                      const nonlinear::Problem& problem, int rank) {
  const auto steps = static_cast<double>(solver.layout(problem).count(rank));
  const double states = steps + 1;
  // The trajectory and the reference of --verify; backward starts, slopes, gradients and the maps
  // of a linear solve.
  const bool backward = config.solver.passes == linear::Passes::forward_and_backward;
  const double arrays = (config.solver.verify ? 2.1 : 1.1) + (backward ? 4 : 0);
  constexpr double kParameterArrays = 3, kMaps = 4;
  const models::StepCost step = models::step_cost(config.chain.model);
  const double parameters = kParameterArrays * (steps * step.parameters + step.shared_parameters);
  const double state = static_cast<double>(problem.state_bytes());
  const double maps = backward ? kMaps * state * (problem.width + 1) : 0;
  return solver.memory(problem) + arrays * states * state + maps + sizeof(Real) * parameters;
}

double available_bytes() {
  std::ifstream information("/proc/meminfo");
  std::string word;
  double kibibytes = 0;
  while (information >> word) {
    if (word == "MemAvailable:" && information >> kibibytes) return kibibytes * 1024;
  }
  return std::numeric_limits<double>::infinity();
}

void check_memory(const parallel::Communicator& comm, double bytes_of_this_rank) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  const std::vector<std::string> hosts = parallel::host_names(comm);
  std::vector<double> needs(hosts.size(), 0.0);
  needs[static_cast<std::size_t>(comm.rank())] = bytes_of_this_rank;
  comm.max(needs);
  const std::string& here = hosts[static_cast<std::size_t>(comm.rank())];
  double needed = 0;
  for (std::size_t p = 0; p < hosts.size(); ++p) needed += hosts[p] == here ? needs[p] : 0;
  parallel::agree(comm, [&] {
    const double available = available_bytes();
    if (needed <= available) return;
    throw local_input_error(
        "the run needs about {:.3g} GiB on {}, which has {:.3g} GiB free; use fewer --steps, a "
        "smaller --width or --batch, or more computers",
        needed / kGiB, here, available / kGiB);
  });
}

}  // namespace deeppcr::app
