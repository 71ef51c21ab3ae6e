#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/step_set.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::sequence {

/// What is given for each step and sample beside the state: a signal's sample, noise, a token. The
/// numbers are borrowed; they may change between two calls of a chain, but not during one.
struct Inputs {
  StepSet steps;           ///< those that rows are given for
  ConstStates values;      ///< [steps.size(), all samples, d]
  Index first_sample = 0;  ///< a batch is this sample and those that follow
  /// Steps that each of all samples has; null: all have all. Behind them a step leaves the state as
  /// it is, so that the last state of the chain is the last one of each sample.
  const Index* lengths = nullptr;

  /// Those of step l for the samples of a batch, [B, d].
  const Real* at(Index l) const {
    return values.data() + (steps.row(l) * values.extent(1) + first_sample) * values.extent(2);
  }
  /// The same where a batch begins so many samples later.
  Inputs from_sample(Index first) const { return {steps, values, first_sample + first, lengths}; }
  /// Whether sample b of a batch has a step l.
  bool has(Index l, Index b) const { return lengths == nullptr || l < lengths[first_sample + b]; }
};

/// The features of samples as inputs of some steps: step l takes features [l d, (l + 1) d), and
/// zeros behind the last. Shapes: features [B, F], inputs [steps.size(), B, d].
void deal_features(ConstState features, const StepSet& steps, View<Real, 3> inputs);

/// Trainable numbers of one kind: a row for each step, or one row that all steps share (a recurrent
/// cell, a denoiser), which every rank in depth holds.
struct ParameterGroup {
  std::string name;  ///< such as "layers"; one of its own within a chain
  bool shared = false;
  Index rows = 0;        ///< of the whole chain: one a step, or 1
  View<Real, 2> values;  ///< [rows that this object holds, row size]
  std::string content;   ///< what lies where in a row, for files

  Index row_size() const { return values.extent(1); }
};

/// A view for each group, in the order of Sequence::parameters(): [m, row size] for the steps of a
/// range, or the one row that they share.
using GroupRows = std::vector<View<Real, 2>>;

/// Gradients of all groups by their parameters on one rank, in their shapes.
class ParameterGradients {
 public:
  ParameterGradients() = default;
  /// Room for them, all zero.
  explicit ParameterGradients(const std::vector<ParameterGroup>& groups);

  int groups() const { return static_cast<int>(values_.size()); }
  bool empty() const { return values_.empty(); }
  bool shared(int group) const { return shared_[static_cast<std::size_t>(group)]; }
  /// Whether any group is shared.
  bool any_shared() const;
  /// [rows held, row size]
  View<Real, 2> operator[](int group) const { return values_[static_cast<std::size_t>(group)]; }
  /// The rows of steps [first, last), counted from the first that is held: into `rows`, which keeps
  /// its memory. Shared groups: their one row.
  void slice(Index first, Index last, GroupRows& rows) const;
  /// Numbers of a step's own rows together.
  Index numbers_a_step() const;
  /// Sets the shared rows to zero: they are added to.
  void clear_shared() const;

 private:
  Buffer<Real> memory_;
  std::vector<bool> shared_;
  GroupRows values_;
};

}  // namespace deeppcr::sequence
