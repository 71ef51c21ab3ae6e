#include "network_case.hpp"

#include "deeppcr/core/random.hpp"

namespace deeppcr::bench {

NetworkCase::NetworkCase(const parallel::Communicator& comm, const std::string& linear,
                         const models::ModelOptions& options, Index batch)
    : NetworkCase(comm,
                  linear::find(linear).layout(options.steps, comm.size(), options.width,
                                              linear::Passes::forward),
                  options, batch) {}

NetworkCase::NetworkCase(const parallel::Communicator& comm, const parallel::BlockLayout& layout,
                         const models::ModelOptions& options, Index batch)
    : trajectory(comm, layout, batch, options.width),
      model(models::make(options, trajectory.local_steps())) {
  const State z0 = trajectory.input();
  RandomStream(options.seed, 99).normal(0, z0.size(), z0.data());
}

}  // namespace deeppcr::bench
