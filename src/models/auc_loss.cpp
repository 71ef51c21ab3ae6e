#include "deeppcr/models/auc_loss.hpp"

#include <cmath>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

AucLoss::AucLoss(const LossSizes& sizes, LossAt at)
    : ClassLoss(sizes, at, {}),
      head_groups_(static_cast<int>(HeadLoss::parameters().size())),
      centres_(2),
      dual_(1) {
  if (sizes.outputs != 0 && outputs() != 2)
    throw input_error(
        "--loss auc tells two classes apart, and there are {} outputs; use --positives", outputs());
}

std::vector<sequence::ParameterGroup> AucLoss::parameters() {
  std::vector<sequence::ParameterGroup> groups = HeadLoss::parameters();
  groups.push_back({"auc/centres", false, 1, {centres_.data(), {1, 2}}, "a, b"});
  groups.push_back({"auc/dual", false, 1, {dual_.data(), {1, 1}}, "alpha"});
  return groups;
}

ParameterKind AucLoss::kind(int group) const {
  if (group < head_groups_) return ParameterKind::weight;
  return group == head_groups_ ? ParameterKind::primal : ParameterKind::dual;
}

LossReport AucLoss::evaluate(const LossData& data, const LossGradients* gradients) {
  by_a_ = by_b_ = by_alpha_ = 0;
  if (gradients == nullptr || gradients->parameters.empty())
    return HeadLoss::evaluate(data, gradients);
  LossGradients of_head = *gradients;
  of_head.parameters.resize(static_cast<std::size_t>(head_groups_));
  const LossReport report = HeadLoss::evaluate(data, &of_head);
  const bool counts = report.counted > 0;  // not so where another rank has the same outputs
  const Real weight = counts ? data.weight : 0;
  const auto centres = gradients->parameters[static_cast<std::size_t>(head_groups_)];
  centres(0, 0) = weight * by_a_;
  centres(0, 1) = weight * by_b_;
  gradients->parameters.back()(0, 0) = weight * by_alpha_;
  return report;
}

//     [+]  p (1-p) + F = (1-p) ((h-a)^2 - 2 (1+alpha) h + p (1 - alpha^2))
//     [-]  p (1-p) + F = p ((h-b)^2 + 2 (1+alpha) h + (1-p) (1 - alpha^2))
void AucLoss::compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
                      bool with_gradient, LossReport& report) {
  const Real p = data.positive_share;
  if (!(p > 0 && p < 1))
    throw input_error("--loss auc needs samples of both classes, and {} of them are positive",
                      p == 1 ? "all" : "none");
  const bool positive = label_of(data, l, s) == 1;
  const Real h = y(1) - y(0), alpha = dual_[0];
  const Real centre = centres_[positive ? 0 : 1], sign = positive ? -1 : 1;
  const Real other = positive ? 1 - p : p;  // the part of the other class
  const Real share = other / count, distance = h - centre;
  report.loss += share * (distance * distance + sign * 2 * (1 + alpha) * h +
                          (1 - other) * (1 - alpha * alpha));
  ++report.counted;
  if ((h > threshold()) == positive && !std::isnan(h)) ++report.correct;
  if (!with_gradient) return;
  (positive ? by_a_ : by_b_) -= 2 * share * distance;
  by_alpha_ += 2 * share * (sign * h - (1 - other) * alpha);
  const Real by_h = 2 * share * (distance + sign * (1 + alpha));
  y(1) = by_h;
  y(0) = -by_h;
}

std::vector<int> AucLoss::classify(const LossData& data) {
  std::vector<int> taken;
  for (const Real score : scores(data)) taken.push_back(score > threshold() ? 1 : 0);
  return taken;
}

}  // namespace deeppcr::models
