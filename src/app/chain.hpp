#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "deeppcr/cli/command.hpp"
#include "deeppcr/core/buffer.hpp"
#include "deeppcr/models/loss.hpp"
#include "deeppcr/sequence/sequence.hpp"
#include "deeppcr/sequence/trajectory.hpp"

namespace deeppcr::app {

/// A network with its samples: embedding -> chain -> loss. The chain is split over the ranks; both
/// ends are small and kept by every rank.
struct Chain {
  std::unique_ptr<sequence::Sequence> steps;   ///< what `sequence` borrows from; may be null
  std::shared_ptr<const io::Signals> signals;  ///< whose inputs it takes; may be null
  Buffer<Real> inputs;         ///< where there are none: those of the local steps, [L_local, B, d]
  std::vector<Index> lengths;  ///< steps of each sample; empty: all have all
  std::unique_ptr<sequence::Sequence> sequence;  ///< with its inputs, where it takes any
  sequence::Trajectory trajectory;               ///< z_0 is set, the states are not
  Buffer<Real> features;                         ///< [B, features]; empty without an embedding
  std::optional<models::DenseLayer> embedding;   ///< for samples of another size than the states
  std::unique_ptr<models::Loss> loss;
  std::vector<int> labels;  ///< [B], or [steps, B]

  ConstState feature_view() const {
    return {features.data(), {trajectory.batch(), features.size() / trajectory.batch()}};
  }
};

/// Steps and width of the file that describes the model, where there is one. Collective.
void look_at_model(const parallel::Communicator& comm, ChainConfig& config);

/// Whether the steps are computed in single precision.
bool in_single_precision(const models::ModelOptions& model);
/// What single precision cannot reach is no tolerance: 1e-5 where none was given. @throws Error
/// where one was
void settle_tolerance(const char* option, bool given, const models::ModelOptions& model,
                      nonlinear::Tolerance& tolerance);

/// What --input and --weights say of the chain is put in; what contradicts it is refused.
/// Collective.
void look_at_files(const parallel::Communicator& comm, ChainConfig& config);

/// Refuses what PETSc cannot index, what messages cannot hold and what would not fit into memory.
/// Collective; allocates nothing.
void check_sizes(const parallel::Communicator& comm, const RunConfig& config);

/// What `solve` and `gradient` begin with: sizes and files tried before anything large is made,
/// then the network and its samples, and --save-weights. Collective. @throws Error for what does
/// not fit
Chain set_up(const cli::Context& context, RunConfig& config);

/// What layouts, costs and memory of a run depend on.
nonlinear::Problem problem_of(const RunConfig& config, int ranks);

/// @throws Error where one of the methods goes through stacked cells, and the chain has none
void require_stack(const std::string& forward, const std::string& backward,
                   const std::string& model, const sequence::Sequence& chain);

/// Steps of each rank, as suits the solver.
parallel::BlockLayout layout_of(const parallel::Communicator& comm, const RunConfig& config);

}  // namespace deeppcr::app
