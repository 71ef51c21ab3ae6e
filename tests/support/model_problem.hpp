#pragma once

#include <memory>

#include "deeppcr/core/random.hpp"
#include "deeppcr/models/catalogue.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::test {

/// A model of the catalogue with a trajectory whose input is normal noise.
struct ModelProblem {
  ModelProblem(const parallel::Communicator& comm, const models::ModelOptions& options,
               const parallel::BlockLayout& layout, Index batch)
      : sequence(models::make(options, layout.range(comm.rank()))),
        trajectory(comm, layout, batch, options.width) {
    RandomStream(17, 1).normal(0, trajectory.input().size(), trajectory.input().data());
  }

  std::unique_ptr<sequence::ParametricSequence> sequence;
  sequence::Trajectory trajectory;
};

}  // namespace deeppcr::test
