#include "deeppcr/models/head.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"

namespace deeppcr::models {

namespace {
constexpr std::uint64_t kEmbeddingRole = 0x454d424544;
constexpr std::uint64_t kHeadRole = 0x48454144;
}  // namespace

DenseLayer::DenseLayer(int inputs, int outputs, std::uint64_t seed, std::uint64_t role)
    : inputs_(inputs), outputs_(outputs) {
  if (inputs < 1 || outputs < 1)
    throw input_error("a layer from {} to {} numbers is not possible: 1 or more", inputs, outputs);
  parameters_ = Buffer<Real>(shape().size());
  dense_initialise(shape(), seed, role, parameters_.data());
}

DenseShape DenseLayer::shape() const { return {inputs_, outputs_, 0}; }

void DenseLayer::forward(ConstState x, State y) const {
  dense_forward(shape(), parameters_.data(), x, y);
}

void DenseLayer::gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                          State input_gradient) const {
  dense_gradient(shape(), parameters_.data(), x, g,
                 parameter_gradient.size() > 0 ? parameter_gradient.data() : nullptr,
                 input_gradient);
}

Embedding::Embedding(int features, int width, std::uint64_t seed)
    : DenseLayer(features, width, seed, kEmbeddingRole) {}

ClassifierHead::ClassifierHead(int width, int classes, std::uint64_t seed)
    : DenseLayer(width, classes, seed, kHeadRole) {}

LossReport ClassifierHead::loss(ConstState z, const std::vector<int>& labels, State logits) const {
  forward(z, logits);
  return softmax_cross_entropy(logits, labels, false);
}

LossReport ClassifierHead::loss_and_gradient(ConstState z, const std::vector<int>& labels,
                                             State logits, State state_gradient,
                                             View<Real, 1> parameter_gradient) const {
  forward(z, logits);
  const LossReport report = softmax_cross_entropy(logits, labels, true);
  gradient(z, logits, parameter_gradient, state_gradient);
  return report;
}

namespace {

void check_labels(const State& logits, const std::vector<int>& labels) {
  const Index batch = logits.extent(0), classes = logits.extent(1);
  if (static_cast<Index>(labels.size()) != batch)
    throw input_error("{} labels for {} samples", labels.size(), batch);
  for (const int label : labels) {
    if (label < 0 || label >= classes)
      throw input_error("the label {} is none of the classes 0 to {}", label, classes - 1);
  }
}

}  // namespace

LossReport softmax_cross_entropy(State logits, const std::vector<int>& labels, bool with_gradient) {
  check_labels(logits, labels);
  const Index batch = logits.extent(0), classes = logits.extent(1);
  LossReport report;
  for (Index s = 0; s < batch; ++s) {
    Real* a = logits.data() + s * classes;
    const int label = labels[static_cast<std::size_t>(s)];
    const Index largest = std::max_element(a, a + classes) - a;
    const Real top = a[largest], own = a[label];
    // loss = log sum_c exp(a_c - top) - (a_label - top)
    Real sum = 0;
    for (Index c = 0; c < classes; ++c) sum += std::exp(a[c] - top);
    if (largest == label && !std::isnan(sum)) ++report.correct;
    report.loss += (std::log(sum) - (own - top)) / static_cast<Real>(batch);
    if (!with_gradient) continue;
    for (Index c = 0; c < classes; ++c) {
      const Real p = std::exp(a[c] - top) / sum;
      a[c] = (p - (c == label ? 1 : 0)) / static_cast<Real>(batch);
    }
  }
  return report;
}

}  // namespace deeppcr::models
