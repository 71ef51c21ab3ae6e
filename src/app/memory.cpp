#include "deeppcr/app/memory.hpp"

#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/linear/catalogue.hpp"
#include "deeppcr/parallel/runtime.hpp"

namespace deeppcr::app {

double estimate_bytes(const RunConfig& config, const parallel::BlockLayout& layout, int rank) {
  const models::ModelOptions& model = config.chain.model;
  const auto n = static_cast<double>(model.width);
  const auto B = static_cast<double>(config.chain.batch);
  const auto steps = static_cast<double>(layout.count(rank));
  // Newton and gradients: trajectory, residual, update, starts, slopes, vectors of SNES; gradients;
  // the reference of
  // --verify. Sequential execution forward: the trajectory, and its reference.
  const bool lean = config.solver.method == SolverConfig::Method::sequential &&
                    config.solver.passes == linear::Passes::forward;
  // Shooting sweeps in place; with whole Jacobians it holds the slopes of a chunk.
  const bool shooting = config.solver.method == SolverConfig::Method::shooting &&
                        config.solver.passes == linear::Passes::forward &&
                        !config.solver.shooting.newton;
  const double lean_arrays = config.solver.verify ? 2.1 : 1.1;
  const double state_arrays = lean ? lean_arrays : shooting ? lean_arrays + 3 : 12;
  constexpr double kParameterArrays = 3;
  const double states = state_arrays * (steps + 1) * B * n;
  const double parameters = kParameterArrays * steps * models::step_cost(model).parameters;
  const auto solver = linear::find(config.solver.newton.linear).make();
  const double linear = lean ? 0 : solver->memory({layout, config.chain.batch, model.width});
  return sizeof(Real) * (states + parameters) + linear;
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
