#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/models/dense_layer.hpp"
#include "deeppcr/sequence/parameters.hpp"

namespace deeppcr::models {

/// Mean loss of a batch, and how many samples have their label as the largest logit.
struct LossReport {
  double loss = 0;
  Index correct = 0;
};

/// Softmax cross-entropy by itself, averaged over the batch: logits [B, classes] become d loss / d
/// logits when `with_gradient`. Numerically stable for logits of any size.
LossReport softmax_cross_entropy(State logits, const std::vector<int>& labels, bool with_gradient);

/// What a loss looks at on one rank.
struct LossData {
  StepSet local;             ///< steps after which `states` are
  ConstStates states;        ///< [L_local, B, n]
  Index samples = 0;         ///< of a row, the first so many count
  std::vector<int> labels;   ///< [samples]; empty where there are none
  sequence::Inputs targets;  ///< what states should be, [.., all samples, n]; empty where none are
  Real weight = 1;           ///< on value and gradients
};

/// What it differentiates into. Only rows that are read are written: the others stay as they are.
struct LossGradients {
  States states;                   ///< by the last rows of LossData::states, at least rows()
  sequence::GroupRows parameters;  ///< by parameters(), assigned; empty where not wanted
};

/// A loss of any rows of a chain's states, averaged over the samples. Each rank has the part of its
/// rows; the parts of all ranks add up to the whole.
class Loss {
 public:
  virtual ~Loss() = default;

  /// Whether it depends on the state after step l.
  virtual bool reads(Index l) const = 0;
  /// This rank's part, zero where it reads no row, and its gradients unless that is null. A NaN in
  /// a row that is read gives a NaN.
  virtual LossReport evaluate(const LossData& data, const LossGradients* gradients) = 0;

  /// Trainable numbers of its own, such as a head. Default: none.
  virtual std::vector<sequence::ParameterGroup> parameters() { return {}; }
  /// The classifier that weights files hold; null without.
  virtual DenseLayer* head() { return nullptr; }

  /// Classes that it tells apart; 0: it classifies nothing, and has no accuracy.
  virtual int classes() const { return 0; }
  /// The class that each sample is taken for, [samples]; nothing where the rows it needs are not
  /// here.
  virtual std::vector<int> classify(const LossData&) { return {}; }

  /// How many rows of the local steps there are from the first one that it reads on.
  Index rows(const StepSet& local) const;
};

/// Softmax cross-entropy of a linear classifier on the last state.
class CrossEntropy final : public Loss {
 public:
  CrossEntropy(Index num_steps, int width, int classes, std::uint64_t seed);

  bool reads(Index l) const override { return l == last_; }
  LossReport evaluate(const LossData& data, const LossGradients* gradients) override;
  /// "head": a row for each number of a state, then the bias.
  std::vector<sequence::ParameterGroup> parameters() override;
  DenseLayer* head() override { return &head_; }
  int classes() const override { return head_.outputs(); }
  std::vector<int> classify(const LossData& data) override;

 private:
  State forward(const LossData& data);

  Index last_;
  DenseLayer head_;
  Buffer<Real> logits_;
};

/// Mean of (z - target)^2 over chosen rows, samples and the numbers of a state. Without targets a
/// state should be the unit vector of its sample's label.
class SquaredError final : public Loss {
 public:
  /// rows: "last", "every", or numbers of states from 1 to num_steps, separated by commas.
  /// @throws Error for other rows
  SquaredError(Index num_steps, const std::string& rows);

  bool reads(Index l) const override { return rows_[static_cast<std::size_t>(l)]; }
  LossReport evaluate(const LossData& data, const LossGradients* gradients) override;

 private:
  std::vector<bool> rows_;  ///< [num_steps]
  Index count_ = 0;         ///< of those that are read
};

/// Sizes that a loss is made for.
struct LossSizes {
  Index steps = 1;  ///< at least 1; the only state of a chain without steps counts as that of one
  int width = 1;
  int classes = 1;
  std::uint64_t seed = 1;
};

/// What a label is to a loss: nothing, a class, or the number of a state's component.
enum class LabelUse { none, classes, components };

/// One line a loss: the only table that names them.
struct LossEntry {
  std::string name, help;
  std::vector<OptionSpec> options;
  std::function<std::unique_ptr<Loss>(const OptionValues&, const LossSizes&)> make;
  LabelUse labels = LabelUse::classes;
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
