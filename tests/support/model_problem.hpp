#pragma once

#include <memory>

#include "deeppcr/core/random.hpp"
#include "deeppcr/sequence/trajectory.hpp"
#include "support/model_options.hpp"
#include "support/rows.hpp"

namespace deeppcr::test {

/// A chain by what tests vary most; the rest as the program has it.
inline models::ModelOptions chain_options(const char* model, const char* activation,
                                          const char* residual_scale, Index steps, int width) {
  models::ModelOptions options;
  options.model = model;
  set_where_known(options, "activation", activation);
  set_where_known(options, "residual-scale", residual_scale);
  options.steps = steps;
  options.width = width;
  return options;
}

/// A model of the catalogue with a trajectory whose input is normal noise.
struct ModelProblem {
  ModelProblem(const parallel::Communicator& comm, const models::ModelOptions& options,
               const parallel::BlockLayout& layout, Index batch)
      : sequence(models::make(options, layout.steps(comm.rank()))),
        trajectory(comm, layout, batch, options.width) {
    RandomStream(17, 1).normal(0, trajectory.input().size(), trajectory.input().data());
  }

  View<Real, 2> rows() { return rows_of(*sequence); }

  std::unique_ptr<sequence::Sequence> sequence;
  sequence::Trajectory trajectory;
};

}  // namespace deeppcr::test
