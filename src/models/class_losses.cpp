#include "deeppcr/models/class_losses.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {
namespace {

void require_class(int label, Index classes) {
  if (label < 0 || label >= classes)
    throw input_error("the label {} is none of the classes 0 to {}", label, classes - 1);
}

/// One of `count` samples: the logits a become the gradient where it is wanted.
void cross_entropy(View<Real, 1> a, int label, Real count, bool with_gradient, LossReport& report) {
  const Index largest = std::max_element(a.begin(), a.end()) - a.begin();
  const Real top = a(largest), own = a(label);
  // loss = log sum_c exp(a_c - top) - (a_label - top)
  Real sum = 0;
  for (const Real one : a) sum += std::exp(one - top);
  ++report.counted;
  if (largest == label && !std::isnan(sum)) ++report.correct;
  report.loss += (std::log(sum) - (own - top)) / count;
  if (!with_gradient) return;
  for (Index c = 0; c < a.size(); ++c) {
    const Real p = std::exp(a(c) - top) / sum;
    a(c) = (p - (c == label ? 1 : 0)) / count;
  }
}

/// The same for other targets than the unit vector of the label.
void cross_entropy(View<Real, 1> a, int label, const ClassTargets& targets, Real count,
                   bool with_gradient, LossReport& report) {
  const Index classes = a.size(), largest = std::max_element(a.begin(), a.end()) - a.begin();
  const Real top = a(largest);
  Real sum = 0;
  for (const Real one : a) sum += std::exp(one - top);
  ++report.counted;
  if (largest == label && !std::isnan(sum)) ++report.correct;
  // u_c = w_c q_c;  loss = sum_c u_c (log sum - (a_c - top));  by a_c: (sum u) p_c - u_c
  Real all = 0;
  for (Index c = 0; c < classes; ++c) {
    const Real u = targets.weight(c) * targets.wanted(c, label, classes);
    all += u;
    if (u != 0) report.loss += u * (std::log(sum) - (a(c) - top)) / count;
  }
  if (!with_gradient) return;
  for (Index c = 0; c < classes; ++c) {
    const Real u = targets.weight(c) * targets.wanted(c, label, classes);
    a(c) = (all * std::exp(a(c) - top) / sum - u) / count;
  }
}

/// log(1 + e^y)
Real softplus(Real y) { return std::max(y, Real{0}) + std::log1p(std::exp(-std::abs(y))); }

}  // namespace

LossReport softmax_cross_entropy(State logits, const std::vector<int>& labels, bool with_gradient) {
  const Index batch = logits.extent(0);
  if (static_cast<Index>(labels.size()) != batch)
    throw input_error("{} labels for {} samples", labels.size(), batch);
  for (const int label : labels) require_class(label, logits.extent(1));
  LossReport report;
  for (Index s = 0; s < batch; ++s)
    cross_entropy(logits[s], labels[static_cast<std::size_t>(s)], static_cast<Real>(batch),
                  with_gradient, report);
  return report;
}

ClassTargets class_targets(double smoothing, const std::string& weights) {
  ClassTargets targets{smoothing, {}};
  if (weights == "equal") return targets;
  for (const char *at = weights.data(), *end = at + weights.size();; ++at) {
    double weight = 0;
    const auto [next, code] = std::from_chars(at, end, weight);
    const bool is_weight = code == std::errc() && weight >= 0 && std::isfinite(weight);
    if (!is_weight || (next != end && *next != ','))
      throw input_error(
          "--class-weights '{}': equal, or finite numbers from 0 separated by commas are needed, "
          "one "
          "a class, such as 1,2.5,1",
          weights);
    targets.weights.push_back(weight);
    if (next == end) break;
    at = next;
  }
  if (*std::max_element(targets.weights.begin(), targets.weights.end()) == 0)
    throw input_error("--class-weights {}: one of them at least must be above 0", weights);
  return targets;
}

ClassLoss::ClassLoss(const LossSizes& sizes, LossAt at, ClassTargets targets)
    : HeadLoss(sizes, at), targets_(std::move(targets)) {
  const auto count = static_cast<int>(targets_.weights.size());
  if (count != 0 && sizes.outputs != 0 && count != outputs())
    throw input_error("--class-weights: there are {} of them, but {} classes; give one a class",
                      count, outputs());
}

int ClassLoss::label_of(const LossData& data, Index l, Index s) const {
  if (data.labels.empty()) throw input_error("no labels for {} samples", data.samples);
  const int label = data.label(l, s);
  require_class(label, outputs());
  return label;
}

std::vector<int> ClassLoss::classify(const LossData& data) {
  const State outputs = final_outputs(data);
  std::vector<int> taken;
  for (Index s = 0; s < outputs.extent(0); ++s) {
    const View<Real, 1> one = outputs[s];
    taken.push_back(static_cast<int>(std::max_element(one.begin(), one.end()) - one.begin()));
  }
  return taken;
}

std::vector<Real> ClassLoss::scores(const LossData& data) {
  const State y = final_outputs(data);
  std::vector<Real> all;
  for (Index s = 0; s < y.extent(0); ++s) all.push_back(y(s, 1) - y(s, 0));
  return all;
}

void CrossEntropy::compare(const LossData& data, Index l, Index s, View<Real, 1> y, Real count,
                           bool with_gradient, LossReport& report) {
  const int label = label_of(data, l, s);
  if (targets().are_plain()) {
    cross_entropy(y, label, count, with_gradient, report);
  } else {
    cross_entropy(y, label, targets(), count, with_gradient, report);
  }
}

// -log s(y) = softplus(-y), -log(1 - s(y)) = softplus(y);  by y_c: s(y_c) (u_c + 1 - q_c) - u_c
void BinaryCrossEntropy::compare(const LossData& data, Index l, Index s, View<Real, 1> y,
                                 Real count, bool with_gradient, LossReport& report) {
  const Index classes = y.size();
  const int label = label_of(data, l, s);
  const Index largest = std::max_element(y.begin(), y.end()) - y.begin();
  const Real share = 1 / (count * static_cast<Real>(classes));
  Real loss = 0;
  for (Index c = 0; c < classes; ++c) {
    const Real q = targets().wanted(c, label, classes), u = targets().weight(c) * q;
    loss += u * softplus(-y(c)) + (1 - q) * softplus(y(c));
    if (with_gradient) y(c) = share * ((u + 1 - q) * std::exp(-softplus(-y(c))) - u);
  }
  ++report.counted;
  if (largest == label && !std::isnan(loss)) ++report.correct;
  report.loss += share * loss;
}

}  // namespace deeppcr::models
