#pragma once

#include <vector>

#include "deeppcr/models/class_losses.hpp"

namespace deeppcr::models {

/// The area under the ROC curve as a saddle point, with the score h = y_1 - y_0 and the part p of
/// all samples that is positive:
///
///     F = (1-p) (h-a)^2 [+] + p (h-b)^2 [-] + 2 (1+alpha) (p h [-] - (1-p) h [+]) - p (1-p)
///     alpha^2
///
/// is to be least by the network, a and b, and largest by alpha. There p (1-p) + mean of F is
/// p (1-p) times the mean of (1 - (h+ - h-))^2 over pairs; that sum is the loss that is reported.
/// Source: Ying et al., NeurIPS 2016; over data ranks CODA, arXiv 2005.02426
class AucLoss final : public ClassLoss {
 public:
  /// @throws Error for other than two classes
  explicit AucLoss(const LossSizes& sizes, LossAt at = LossAt::last);

  LossReport evaluate(const LossData& data, const LossGradients* gradients) override;
  /// Those of the head, then "centres" (a, b) and "dual" (alpha), all zero at first.
  std::vector<sequence::ParameterGroup> parameters() override;
  ParameterKind kind(int group) const override;
  /// Positive is what has a score above (a + b) / 2.
  std::vector<int> classify(const LossData& data) override;

 protected:
  void compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
               bool with_gradient, LossReport& report) override;

 private:
  Real threshold() const { return (centres_[0] + centres_[1]) / 2; }

  int head_groups_;
  Buffer<Real> centres_, dual_;  ///< [a, b], [alpha]
  Real by_a_ = 0, by_b_ = 0, by_alpha_ = 0;
};

}  // namespace deeppcr::models
