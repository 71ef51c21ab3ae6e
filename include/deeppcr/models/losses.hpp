#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/models/loss.hpp"

namespace deeppcr::models {

/// The numbers of states that a loss reads go through a head: y = W z + b, or a module. Shapes: z
/// [B, width], y [B, head.outputs()].
void apply_head(const End& head, sequence::Columns columns, ConstState z, State y);

/// Where a sample's outputs are compared.
///
///     last  after the last step that it has
///     each  after each step that it has: the mean over them
///     rate  once: the head reads the mean of its states over those steps
enum class LossAt { last, each, rate };
const Words<LossAt>& loss_places();

/// A loss of what the head, a linear layer where there is no other, makes of states.
class HeadLoss : public Loss {
 public:
  bool reads(Index l) const override { return at_ != LossAt::last || l == last_; }
  LossReport evaluate(const LossData& data, const LossGradients* gradients) override;
  Index num_sums(Index samples) const override;
  /// The states of each sample over its steps, [samples, width].
  void add_sums(const LossData& data, Real* sums) const override;
  /// Those of the head.
  std::vector<sequence::ParameterGroup> parameters() override { return head_->groups(); }
  End* head() override { return head_.get(); }

 protected:
  HeadLoss(const LossSizes& sizes, LossAt at);

  /// One output y against what it should be after step l of sample s; it is one of `count` that the
  /// mean is over. Value and gradient of (..) / count: y becomes the latter where it is wanted.
  virtual void compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
                       bool with_gradient, LossReport& report) = 0;
  /// The outputs that a sample is judged by in the end, [samples, outputs]; empty where the rows
  /// that they need are not here.
  State final_outputs(const LossData& data);
  int outputs() const { return head_->outputs(); }

 private:
  LossReport evaluate_rows(const LossData& data, const LossGradients* gradients);
  LossReport evaluate_rate(const LossData& data, const LossGradients* gradients);
  Index steps() const { return last_ + 1; }
  Real count_of(const LossData& data, Index s) const;
  /// What is read of local rows: [rows.size() * samples, width].
  ConstState read(const LossData& data, StepRange rows);
  ConstState mean_of(const LossData& data);
  State outputs_of(ConstState x);
  /// The head's gradient is added to what is there unless it is the first; by x: into by_read_.
  void differentiate_head(ConstState x, ConstState by_outputs, bool first,
                          const sequence::GroupRows& parameters);

  LossAt at_;
  Index last_;
  sequence::Columns columns_;
  std::shared_ptr<End> head_;
  Buffer<Real> read_, outputs_, by_read_, by_head_;
};

/// Mean of (y - target)^2 over the numbers of a target.
class MeanSquare final : public HeadLoss {
 public:
  /// @throws Error for `rate`
  MeanSquare(const LossSizes& sizes, LossAt at);

  bool takes_targets() const override { return true; }

 protected:
  void compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
               bool with_gradient, LossReport& report) override;
};

/// Mean of (z - e)^2 over chosen rows, samples and the numbers of a state that are read; e: the
/// unit vector of the label. The last state is that after the last step that a sample has; where
/// others are chosen, those that it lacks do not count, nor does a sample that lacks them all.
class SquaredError final : public Loss {
 public:
  /// rows: "last", "every", or numbers of states from 1 to sizes.steps, separated by commas.
  /// @throws Error for other rows
  SquaredError(const LossSizes& sizes, const std::string& rows);

  bool reads(Index l) const override { return rows_[static_cast<std::size_t>(l)]; }
  bool judges(Index length) const override;
  LossReport evaluate(const LossData& data, const LossGradients* gradients) override;

 private:
  bool counts(const LossData& data, Index l, Index s) const;
  /// What the square of one number weighs, by sample.
  std::vector<Real> shares(const LossData& data) const;

  sequence::Columns columns_;
  std::vector<bool> rows_;  ///< [steps]
  bool last_alone_;
};

}  // namespace deeppcr::models
