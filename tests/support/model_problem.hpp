#pragma once

#include <memory>
#include <utility>
#include <vector>

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

/// A model of the catalogue with a trajectory whose input is normal noise, and so are the inputs of
/// its steps where they take any.
struct ModelProblem {
  /// lengths: steps of each sample; empty: all have all.
  ModelProblem(const parallel::Communicator& comm, const models::ModelOptions& options,
               const parallel::BlockLayout& layout, Index batch, std::vector<Index> lengths = {})
      : model(models::make(options, layout.steps(comm.rank()))),
        samples_end(std::move(lengths)),
        trajectory(comm, layout, batch, models::state_width(options)) {
    RandomStream(17, 1).normal(0, trajectory.input().size(), trajectory.input().data());
    if (const Index d = model->input_width(); d == 0) {
      sequence = std::move(model);
    } else {
      const Index L = layout.num_steps();
      inputs.reset(L * batch * d);
      RandomStream(6, 1).normal(0, inputs.size(), inputs.data());
      sequence::Inputs bound{StepRange{0, L}, {inputs.data(), {L, batch, d}}};
      if (!samples_end.empty()) bound.lengths = samples_end.data();
      sequence = model->bound_to(bound);
    }
  }

  View<Real, 2> rows() { return rows_of(*sequence); }

  std::unique_ptr<sequence::Sequence> model;  ///< what `sequence` borrows from; may be null
  std::vector<Index> samples_end;
  Buffer<Real> inputs;
  std::unique_ptr<sequence::Sequence> sequence;
  sequence::Trajectory trajectory;
};

}  // namespace deeppcr::test
