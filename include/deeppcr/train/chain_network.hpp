#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "deeppcr/models/head.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/chain_solver.hpp"
#include "deeppcr/train/images.hpp"
#include "deeppcr/train/trainable.hpp"
#include "deeppcr/train/trajectory_store.hpp"

namespace deeppcr::train {

/// How a network did on a set; equal on all ranks.
struct Evaluation {
  double loss = 0;  ///< mean over the samples
  Index samples = 0;
  int classes = 0;               ///< 0: it classifies nothing, and has no accuracy
  std::vector<Index> confusion;  ///< [classes, classes]: samples of class i taken for class j
  double accuracy() const;
};

/// A classifier of images: embedding -> chain -> head, on a process grid. The chain's steps are
/// split over the depth axis, whose first rank owns the embedding and whose last active one the
/// head; the samples of a batch over the data axis.
class ChainNetwork final : public Trainable {
 public:
  struct Parts {
    std::unique_ptr<sequence::Sequence> sequence;  ///< the steps of this rank's range
    models::Embedding embedding;
    models::ClassifierHead head;
  };
  struct Options {
    parallel::BlockLayout layout;  ///< of the steps over the depth axis; at least one step
    Index batch = 32;              ///< of the whole grid, at least one sample a data rank
    ChainSolverOptions solver;
    Normalisation normalisation;
    Augmentation augmentation;
    Index trajectories_kept = 0;  ///< Newton starts from the last ones of so many samples
  };

  /// Collective on the grid, which must outlive the object, as the images must.
  ChainNetwork(const parallel::ProcessGrid& grid, Parts parts, const Options& options,
               const Images& images);

  std::vector<ParameterGroup> parameters() override;
  /// The normalisation of features, with the embedding's owner, and the trajectories kept.
  std::vector<StoredArray> state() override;
  std::vector<std::string> stages() const override;
  StepOutcome differentiate(const MiniBatch& batch) override;

  /// Loss and confusion on a whole set, whose last batch is filled up. Collective.
  Evaluation evaluate(const Images& images);

  const Parts& parts() const { return parts_; }
  Parts& parts() { return parts_; }
  bool owns_embedding() const { return owns_embedding_; }
  bool owns_head() const { return owns_head_; }

 private:
  void embed(const Images& images, const Index* samples, Index epoch,
             const Augmentation& augmentation);
  /// Fills the states, from kept trajectories where the samples have them.
  ForwardOutcome forward(const Index* samples);
  /// The last state behind forward(); on the rank that owns the head.
  ConstState last_state();
  models::LossReport loss_and_gradients(const Index* samples, Index whole_batch);
  void backward(parallel::PendingSums& sums);
  void share(models::LossReport report, StepOutcome& outcome) const;
  void count(const Images& images, const Index* samples, Index used, Evaluation& evaluation);

  const parallel::ProcessGrid& grid_;
  Parts parts_;
  Options options_;
  const Images& images_;
  StepRange samples_;  ///< this rank's positions in a batch
  bool owns_embedding_, owns_head_;
  ChainSolver solver_;
  Buffer<Real> features_, logits_;  ///< [B_local, features], [B_local, classes]
  std::vector<int> labels_;         ///< [B_local]
  Buffer<Real> normalisation_;      ///< mean, deviation
  std::optional<TrajectoryStore> store_;
  std::vector<sequence::ParameterGroup> groups_;  ///< of the sequence
  sequence::ParameterGradients chain_gradients_;
  Buffer<Real> end_gradient_;  ///< of the last state, [B_local, n], where it is owned
  Buffer<Real> embedding_gradient_, head_gradient_;
};

}  // namespace deeppcr::train
