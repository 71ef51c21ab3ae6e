#pragma once

#include <string>
#include <utility>
#include <vector>

#include "deeppcr/models/losses.hpp"

namespace deeppcr::models {

/// Softmax cross-entropy by itself, averaged over the batch: logits [B, classes] become d loss / d
/// logits when `with_gradient`. Numerically stable for logits of any size.
/// @throws Error for a label that is no class
LossReport softmax_cross_entropy(State logits, const std::vector<int>& labels, bool with_gradient);

/// What the classes of a sample should be, and how much each counts.
///
/// Of K classes and the label k:  q_c = (1 - smoothing) [c = k] + smoothing / K.
struct ClassTargets {
  Real smoothing = 0;
  std::vector<Real> weights;  ///< [K], on the terms of q_c; empty: all are 1

  bool are_plain() const { return smoothing == 0 && weights.empty(); }
  Real wanted(Index c, int label, Index classes) const {
    return smoothing / static_cast<Real>(classes) + (c == label ? 1 - smoothing : 0);
  }
  Real weight(Index c) const {
    return weights.empty() ? Real{1} : weights[static_cast<std::size_t>(c)];
  }
};
/// weights: "equal", or numbers separated by commas. @throws Error for numbers without sense
ClassTargets class_targets(double smoothing, const std::string& weights);

/// A loss of what outputs, one a class, say of a label.
class ClassLoss : public HeadLoss {
 public:
  int classes() const override { return outputs(); }
  std::vector<int> classify(const LossData& data) override;
  /// y_1 - y_0
  std::vector<Real> scores(const LossData& data) override;

 protected:
  /// @throws Error where there is not one weight a class
  ClassLoss(const LossSizes& sizes, LossAt at, ClassTargets targets);
  const ClassTargets& targets() const { return targets_; }
  /// @throws Error where there is none, or it is no class
  int label_of(const LossData& data, Index l, Index s) const;

 private:
  ClassTargets targets_;
};

/// Softmax cross-entropy of a linear classifier: - sum_c w_c q_c log softmax(y)_c.
class CrossEntropy final : public ClassLoss {
 public:
  explicit CrossEntropy(const LossSizes& sizes, LossAt at = LossAt::last, ClassTargets targets = {})
      : ClassLoss(sizes, at, std::move(targets)) {}

 protected:
  void compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
               bool with_gradient, LossReport& report) override;
};

/// Each class by itself against the others, with s the sigmoid: the mean over the classes of
/// - w_c q_c log s(y_c) - (1 - q_c) log(1 - s(y_c)).
class BinaryCrossEntropy final : public ClassLoss {
 public:
  explicit BinaryCrossEntropy(const LossSizes& sizes, LossAt at = LossAt::last,
                              ClassTargets targets = {})
      : ClassLoss(sizes, at, std::move(targets)) {}

 protected:
  void compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
               bool with_gradient, LossReport& report) override;
};

}  // namespace deeppcr::models
