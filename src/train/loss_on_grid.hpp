#pragma once

#include <vector>

#include "deeppcr/models/loss.hpp"
#include "deeppcr/parallel/pending_sums.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::train {

/// A group as training knows it: this rank's rows, and where their gradients are.
ParameterGroup group_of(const sequence::ParameterGroup& group, const StepSet& own, bool shared,
                        const Real* gradient);

/// A loss of this rank's steps, and the gradients of what it trains of its own: those are with the
/// depth rank whose states it reads, with all of them where there are several.
class LossOnGrid {
 public:
  /// Grid and loss must outlive the object.
  LossOnGrid(const parallel::ProcessGrid& grid, models::Loss& loss,
             const parallel::BlockLayout& layout);

  /// Local steps from the first whose state it reads.
  Index rows() const { return rows_; }
  std::vector<ParameterGroup> parameters() const;

  /// Whether it takes part in the calls below: it reads a state, or all ranks add up what they
  /// have.
  bool takes_part() const { return rows_ > 0 || loss_.num_sums(1) > 0; }
  /// What is known of the first `used` of some samples, whose local states are given.
  models::LossData data(const Images& images, const Index* samples, Index used,
                        ConstStates states) const;
  /// Differentiates parts of a batch, first to last, behind begin(): the gradient by its last
  /// rows() states, and those of its own parameters, which are added up. @pre takes_part()
  void begin();
  models::LossReport differentiate(models::LossData data, States by_states);
  /// Starts the sums of the latter over the data axis. Collective.
  void sum(parallel::PendingSums& sums);
  /// Adds a part of a set to an evaluation. @pre takes_part()
  void score(models::LossData data, Evaluation& evaluation);

 private:
  bool is_shared() const { return readers_ > 1; }
  /// Adds up what the loss must know of all depth ranks' states.
  void share_sums(models::LossData& data);
  bool has_parameters() const { return is_shared() || rows_ > 0; }

  const parallel::ProcessGrid& grid_;
  models::Loss& loss_;
  StepSet local_;
  Index rows_;
  int readers_;  ///< depth ranks whose states it reads
  std::vector<sequence::ParameterGroup> groups_;
  sequence::ParameterGradients gradients_, addends_;
  Buffer<Real> sums_;
  bool adds_ = false;  ///< to what is in gradients_ already
};

}  // namespace deeppcr::train
