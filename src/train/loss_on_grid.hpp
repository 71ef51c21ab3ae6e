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
  /// columns: the numbers of states that outputs are of. Grid and loss must outlive the object.
  LossOnGrid(const parallel::ProcessGrid& grid, models::Loss& loss,
             const parallel::BlockLayout& layout, sequence::Columns columns);

  /// Local steps from the first whose state it reads.
  Index rows() const { return rows_; }
  /// Whether it must know of the states of all steps before it can be evaluated.
  bool needs_all_steps() const { return loss_.needs_all_steps(); }
  std::vector<ParameterGroup> parameters() const;
  /// Whether samples have what it compares with.
  bool has_truth(const Examples& examples) const;
  /// Whether it scores samples of two classes.
  bool ranks(const Examples& examples) const {
    return loss_.classes() == 2 && examples.classes() == 2 && !examples.labels_each();
  }
  /// Those of some samples that it judges, at least 1.
  Index count_judged(const Examples& examples, const Index* samples, Index count) const;

  /// Samples of a set, their local states, and what is known of them.
  struct Part {
    models::LossData data;
    const Examples* examples = nullptr;
    const Index* samples = nullptr;
    std::vector<Index> lengths;
    Buffer<Real> targets;  ///< of the steps that are read, [.., samples, k]
    Buffer<Real> sums;
  };
  /// The first `used` of some samples; valid until the next call. Collective along the depth axis
  /// where needs_all_steps().
  const Part& part(const Examples& examples, const Index* samples, Index used, ConstStates states);

  /// Differentiates parts of a batch, first to last, behind begin(): the gradient by its last
  /// rows() states, and those of its own parameters, which are added up.
  void begin();
  models::LossReport differentiate(const Part& part, Real weight, States by_states);
  /// Starts the sums of the latter over the data axis. Collective.
  void sum(parallel::PendingSums& sums);

  /// Adds a part of a set to an evaluation.
  void score(const Part& part, Evaluation& evaluation);
  /// Sets the sizes of predictions of a set, all zero; fills those of a part that are known here.
  void make_room(const Examples& examples, Predictions& predictions) const;
  void predict(const Part& part, Predictions& predictions);

 private:
  bool is_shared() const { return readers_ > 1; }
  bool has_parameters() const { return is_shared() || rows_ > 0; }
  /// Whether each step is classified, or has targets, by itself.
  bool judges_steps(const Examples& examples) const;
  /// Calls visit(l, outputs) for the local steps whose outputs count, [samples, outputs].
  template <typename Visit>
  void each_output(const Part& part, const Visit& visit);

  const parallel::ProcessGrid& grid_;
  models::Loss& loss_;
  sequence::Columns columns_;
  StepSet local_;
  Index num_steps_;
  Index rows_;
  int readers_;  ///< depth ranks whose states it reads
  std::vector<sequence::ParameterGroup> groups_;
  sequence::ParameterGradients gradients_, addends_;
  bool adds_ = false;  ///< to what is in gradients_ already
  Part part_;
  Buffer<Real> outputs_;
};

}  // namespace deeppcr::train
