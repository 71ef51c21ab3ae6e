#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "deeppcr/models/loss.hpp"
#include "deeppcr/nonlinear/adjoint.hpp"
#include "deeppcr/nonlinear/catalogue.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/images.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// How the two passes through a chain are done.
struct PassMethods {
  std::string forward = "sequential";                        ///< from nonlinear::catalogue()
  nonlinear::Settings settings = {{1e-8, 0}, -1, true, {}};  ///< of the forward solver
  std::string backward = "sequential";                       ///< from backward_names()
};

/// How a network did on a set; equal on all ranks.
struct Evaluation {
  double loss = 0;  ///< mean over the samples
  Index samples = 0;
  int classes = 0;               ///< 0: it classifies nothing, and has no accuracy
  std::vector<Index> confusion;  ///< [classes, classes]: samples of class i taken for class j
  double accuracy() const;
};

/// A network of images: embedding -> chain -> loss, on a process grid. A chain that takes inputs
/// has the features dealt to its steps and starts from zero, without an embedding. The chain's
/// steps are split over the depth axis, whose first rank owns the embedding; the samples of a batch
/// over the data axis. What a loss trains of its own, such as a head, is with the depth rank whose
/// states it reads; with all of them where there are several.
class ChainNetwork final : public Trainable {
 public:
  struct Parts {
    std::unique_ptr<sequence::Sequence> sequence;  ///< the steps of this rank's range
    std::optional<models::DenseLayer> embedding;   ///< nothing for a chain that takes inputs
    std::unique_ptr<models::Loss> loss;            ///< of the same number of steps
  };
  struct Options {
    parallel::BlockLayout layout;  ///< of the steps over the depth axis; at least one step
    Index batch = 32;              ///< of the whole grid, at least one sample a data rank
    PassMethods methods;
    Normalisation normalisation;
    Augmentation augmentation;
    Index trajectories_kept = 0;  ///< iterations start from the last ones of so many samples
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

 private:
  bool owns_embedding() const { return owns_pixels_ && parts_.embedding; }
  bool iterates() const { return nonlinear::find(options_.methods.forward).iterates; }
  bool takes_inputs() const { return parts_.sequence->input_width() > 0; }
  const sequence::Sequence& chain() const { return bound_ ? *bound_ : *parts_.sequence; }
  /// The inputs of the local steps, in the memory of inputs_.
  sequence::Inputs bind();
  void check_features() const;
  void embed(const Images& images, const Index* samples, Index epoch,
             const Augmentation& augmentation);
  /// Fills the states. Iterations start from copies of z_0, or where these samples (if any) have
  /// kept trajectories from those.
  nonlinear::SolveReport forward(const Index* samples);
  /// Calls visit(known, kept, state) for each local step of each of these samples that is kept.
  template <typename Visit>
  void for_each_kept(const Index* samples, const Visit& visit);
  /// The first `used` samples behind forward(), of those that the images name.
  models::LossData loss_data(const Images& images, const Index* samples, Index used);
  models::LossReport loss_and_gradients(const Index* samples, Index whole_batch,
                                        parallel::PendingSums& sums);
  void backward(parallel::PendingSums& sums);
  ConstStates loss_gradient() const;
  void share(models::LossReport report, StepOutcome& outcome) const;

  const parallel::ProcessGrid& grid_;
  Parts parts_;
  Options options_;
  const Images& images_;
  StepRange samples_;  ///< this rank's positions in a batch
  bool owns_pixels_;
  Buffer<Real> inputs_;                        ///< of the local steps, [L_local, B_local, d]
  std::unique_ptr<sequence::Sequence> bound_;  ///< the sequence with them
  sequence::Trajectory trajectory_;
  std::unique_ptr<nonlinear::Solver> forward_;
  nonlinear::Adjoint adjoint_;
  Buffer<Real> features_;       ///< [B_local, features]
  Buffer<Real> normalisation_;  ///< mean, deviation
  /// Last trajectories, [L_local, kept (n + 1)]: for each step whether samples 0..kept-1 are known
  /// on this data rank, then their states. Samples are independent, whatever batch they come in.
  Buffer<Real> kept_;
  std::vector<sequence::ParameterGroup> groups_;  ///< of the sequence
  sequence::ParameterGradients chain_gradients_;
  Index loss_rows_;             ///< local steps from the first whose state the loss reads
  Buffer<Real> loss_gradient_;  ///< by the states after them, [.., B_local, n]
  int loss_readers_;            ///< depth ranks whose states it reads
  std::vector<sequence::ParameterGroup> loss_groups_;
  sequence::ParameterGradients loss_gradients_;
  Buffer<Real> embedding_gradient_;
};

}  // namespace deeppcr::train
