#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/evaluation.hpp"
#include "deeppcr/train/examples.hpp"
#include "deeppcr/train/pass_methods.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

class Feed;
class LossOnGrid;
class PipelinePasses;
class SolverPasses;
struct ChainEnds;
struct Drawn;

/// A network of samples: embedding -> chain -> loss, on a process grid. A chain that takes inputs
/// has the features dealt to its steps and starts from zero, without an embedding. The chain's
/// steps are split over the depth axis, whose first rank owns the embedding; the samples of a batch
/// over the data axis. What a loss trains of its own, such as a head, is with the depth rank whose
/// states it reads; with all of them where there are several.
class ChainNetwork final : public Trainable {
 public:
  struct Parts {
    std::unique_ptr<sequence::Sequence> sequence;  ///< the steps of this rank's range
    std::unique_ptr<models::End> embedding;        ///< null for a chain that takes inputs
    std::unique_ptr<models::Loss> loss;            ///< of the same number of steps
  };
  struct Options {
    parallel::BlockLayout layout;  ///< of the steps over the depth axis; at least one step
    Index batch = 32;              ///< of the whole grid, at least one sample a data rank
    PassMethods methods;
    Normalisation normalisation;
    Augmentation augmentation;
    Index trajectories_kept = 0;  ///< iterations start from the last ones of so many samples
    Index truncate = 0;           ///< gradients stay within windows of so many steps; 0: they pass
  };

  /// Collective on the grid, which must outlive the object, as the examples must.
  /// @throws Error where a data rank has fewer samples than micro-batches
  ChainNetwork(const parallel::ProcessGrid& grid, Parts parts, const Options& options,
               const Examples& examples);
  ~ChainNetwork() override;

  std::vector<ParameterGroup> parameters() override;
  /// The normalisation of features, with the embedding's owner, and the trajectories kept.
  std::vector<StoredArray> state() override;
  /// That of features, with the embedding's owner: after a restart that of the checkpoint.
  Normalisation normalisation() const;
  std::vector<std::string> stages() const override;
  StepOutcome differentiate(const MiniBatch& batch) override;
  bool flows() const override { return flows_; }
  std::vector<StepOutcome> differentiate_in_a_row(const std::vector<MiniBatch>& batches,
                                                  const Turns& turns) override;

  /// Loss and confusion on a whole set of such samples, whose last batch is filled up; and what the
  /// network says of each of them unless that is null. Collective.
  Evaluation evaluate(const Examples& examples, Predictions* predictions = nullptr);

  /// Nothing where the passes are no such pipeline. Collective.
  std::optional<PipelineUse> pipeline() const;

  const Parts& parts() const { return parts_; }
  Parts& parts() { return parts_; }

 private:
  struct Passes;  // what both passes have given on this rank
  struct RowReports;
  bool owns_embedding() const { return grid_.depth().rank() == 0 && parts_.embedding; }
  const sequence::Sequence& chain() const { return bound_ ? *bound_ : *parts_.sequence; }
  /// The chain whose Jacobians gradients are by.
  const sequence::Sequence& differentiated() const { return truncated_ ? *truncated_ : chain(); }
  void make_passes();
  bool may_flow() const;

  /// z_0 of the batch, or features that steps take; z_0 of `part` on the embedding's owner.
  void embed(const Drawn& drawn, State z0);
  void embed(const Drawn& drawn, StepRange part, State z0);
  ChainEnds ends(const Drawn& drawn, models::LossReport& report, double& seconds);
  std::vector<StepOutcome> outcomes(const RowReports& reports) const;

  Passes by_solvers(const Drawn& drawn, parallel::PendingSums& sums);
  Passes by_pipeline(const Drawn& drawn, parallel::PendingSums& sums);
  models::LossReport differentiate_loss(const Drawn& drawn, StepRange part, ConstStates states,
                                        States by_states);
  void sum_chain_gradients(bool shared, Index first, Index last, parallel::PendingSums& sums);
  void differentiate_embedding(const Drawn& drawn, ConstState by_z0, parallel::PendingSums& sums);
  void share(const parallel::Communicator& ranks, models::LossReport report,
             StepOutcome& outcome) const;
  /// Calls visit(part, states) for parts of a batch whose states are there.
  void each_forward(const Drawn& drawn, const std::function<void(StepRange, ConstStates)>& visit);

  const parallel::ProcessGrid& grid_;
  parallel::Communicator alone_ = parallel::Communicator::self();  ///< sums of own gradients
  Parts parts_;
  Options options_;
  const Examples& examples_;
  StepRange samples_;  ///< this rank's positions in a batch
  StepSet local_;      ///< steps
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<sequence::Sequence> bound_;      ///< the sequence with its inputs
  std::unique_ptr<sequence::Sequence> truncated_;  ///< null: gradients are whole
  std::vector<sequence::ParameterGroup> groups_;   ///< of the sequence
  sequence::ParameterGradients chain_gradients_;
  std::unique_ptr<LossOnGrid> loss_;
  Buffer<Real> embedding_gradient_;
  std::unique_ptr<SolverPasses> solvers_;  ///< null where there is a pipeline
  std::unique_ptr<PipelinePasses> pipeline_;
  bool flows_ = false;
  Buffer<Real> by_input_;  ///< gradient by z_0, [B_local, n], on its first stage
};

}  // namespace deeppcr::train
