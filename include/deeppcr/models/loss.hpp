#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/models/parameter_kind.hpp"
#include "deeppcr/sequence/sequence.hpp"

namespace deeppcr::models {

/// Mean loss of a batch, how many outputs there were to classify, and how many of them have their
/// label as the largest logit.
struct LossReport {
  double loss = 0;
  Index correct = 0;
  Index counted = 0;
};

/// What a loss looks at on one rank.
struct LossData {
  StepSet local;       ///< steps after which `states` are
  ConstStates states;  ///< [L_local, B, width]
  Index samples = 0;   ///< of a row, the first so many count
  std::vector<int>
      labels;  ///< [samples], or [steps, samples] where each step has its own; or empty
  sequence::Inputs targets;        ///< what outputs should be, [.., all samples, k]; or empty,
                                   ///< as for a loss that takes none
  Real weight = 1;                 ///< on value and gradients
  const Index* lengths = nullptr;  ///< [samples], steps that each has; null: all have all
  const Real* sums = nullptr;      ///< Loss::add_sums() of all ranks together
  Real positive_share = 0;         ///< of two classes: the part of the whole set that is of class 1

  bool has(Index l, Index s) const { return lengths == nullptr || l < lengths[s]; }
  /// Steps that a sample has, of so many.
  Index length(Index s, Index steps) const { return lengths == nullptr ? steps : lengths[s]; }
  /// That of a sample after step l.
  int label(Index l, Index s) const {
    const bool each = static_cast<Index>(labels.size()) > samples;
    return labels[static_cast<std::size_t>((each ? l : 0) * samples + s)];
  }
};

/// What it differentiates into. Only rows that are read are written: the others stay as they are.
struct LossGradients {
  States states;                   ///< by the last rows of LossData::states, at least rows()
  sequence::GroupRows parameters;  ///< by parameters(), assigned; empty where not wanted
};

/// A loss of any rows of a chain's states, averaged over the samples, of which those that it does
/// not judge add 0 (LossData::weight makes it a mean over the others). Each rank has the part of
/// its rows; the parts of all ranks add up to the whole.
class Loss {
 public:
  virtual ~Loss() = default;

  /// Whether it compares with targets: it is given those that samples have. Default: no.
  virtual bool takes_targets() const { return false; }
  /// Whether it depends on the state after step l.
  virtual bool reads(Index l) const = 0;
  /// Whether it says something of a sample that has so many steps. Default: of those with any.
  virtual bool judges(Index length) const { return length > 0; }
  /// This rank's part, zero where it reads no row, and its gradients unless that is null. A NaN in
  /// a row that is read gives a NaN.
  virtual LossReport evaluate(const LossData& data, const LossGradients* gradients) = 0;

  /// Numbers that it must know of the states of all ranks together before it can evaluate, for so
  /// many samples. Default: none.
  ///
  ///     BEFORE  rank 0: add_sums(steps 0..3)   rank 1: add_sums(steps 4..7)
  ///     AFTER   both: LossData::sums = the sum of the two
  virtual Index num_sums(Index /*samples*/) const { return 0; }
  bool needs_all_steps() const { return num_sums(1) > 0; }
  /// Adds those of this rank's rows.
  virtual void add_sums(const LossData&, Real* /*sums*/) const {}

  /// Trainable numbers of its own, such as a head. Default: none.
  virtual std::vector<sequence::ParameterGroup> parameters() { return {}; }
  /// How one of them is trained. Default: as weights are.
  virtual ParameterKind kind(int /*group*/) const { return ParameterKind::weight; }
  /// What makes the outputs that it compares; null without.
  virtual End* head() { return nullptr; }

  /// Classes that it tells apart; 0: it classifies nothing, and has no accuracy.
  virtual int classes() const { return 0; }
  /// The class that each sample is taken for in the end, [samples]; nothing where the rows it needs
  /// are not here.
  virtual std::vector<int> classify(const LossData&) { return {}; }

  /// Of two classes: how much rather each sample is of class 1 than of 0, [samples]; nothing where
  /// the rows it needs are not here.
  virtual std::vector<Real> scores(const LossData&) { return {}; }

  /// How many rows of the local steps there are from the first one that it reads on.
  Index rows(const StepSet& local) const;
};

/// Sizes that a loss is made for.
struct LossSizes {
  Index steps = 1;  ///< at least 1; the only state of a chain without steps counts as that of one
  int width = 1;    ///< numbers of a state that it reads
  int outputs = 0;  ///< of a head: classes, or the numbers of a target; 0: not known yet, as of a
                    ///< loss that is only asked what it reads
  std::uint64_t seed = 1;
  int first = 0;                        ///< the first number that it reads
  std::shared_ptr<End> head = nullptr;  ///< in place of a linear layer by the seed
};
/// Those for the states of a chain.
LossSizes sizes_for(const sequence::Sequence& chain, int outputs, std::uint64_t seed);

/// What a loss compares with: nothing, the class of a sample, whether it is positive, the number of
/// a state's component, or targets.
enum class LabelUse { none, classes, binary, components, targets };

/// One line a loss: the only table that names them.
struct LossEntry {
  std::string name, help;
  std::vector<OptionSpec> options;
  std::function<std::unique_ptr<Loss>(const OptionValues&, const LossSizes&)> make;
  LabelUse labels = LabelUse::classes;  ///< `targets` where the loss takes_targets()
};

const std::deque<LossEntry>& losses();
/// To be called before the command line is read. @throws Error for a name that is taken
void add_to_catalogue(LossEntry entry);
/// @throws Error that lists the known ones
const LossEntry& find_loss(const std::string& name);

/// A loss in words, as the command line gives it.
struct LossOptions {
  std::string name = "cross-entropy";
  OptionValues own = {};  ///< of the entry's options, those that are not at their defaults
};
std::unique_ptr<Loss> make(const LossOptions& options, const LossSizes& sizes);

}  // namespace deeppcr::models
