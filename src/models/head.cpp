#include "deeppcr/models/head.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/blocks/gemm.hpp"
#include "deeppcr/core/error.hpp"
#include "deeppcr/core/random.hpp"

namespace deeppcr::models {

namespace {
constexpr std::uint64_t kEmbeddingRole = 0x454d424544;
constexpr std::uint64_t kHeadRole = 0x48454144;
}  // namespace

DenseLayer::DenseLayer(int inputs, int outputs, std::uint64_t seed, std::uint64_t role)
    : inputs_(inputs), outputs_(outputs) {
  if (inputs < 1 || outputs < 1)
    throw input_error("a layer from {} to {} numbers is not possible: 1 or more", inputs, outputs);
  parameters_ = Buffer<Real>(Index{inputs} * outputs + outputs);
  RandomStream(seed, role).uniform(0, parameters_.size(), parameters_.data());
  const Real bound = 1 / std::sqrt(inputs);
  for (Real& value : parameters_) value = bound * (2 * value - 1);
}

void DenseLayer::forward(ConstState x, State y) const {
  const Index batch = x.extent(0);
  // y = W x + b
  for (Index s = 0; s < batch; ++s) std::copy_n(bias(), outputs_, y.data() + s * outputs_);
  blocks::Gemm<Real>(outputs_, static_cast<int>(batch), inputs_, true)(weights(), x.data(),
                                                                       y.data());
}

void DenseLayer::gradient(ConstState x, ConstState g, View<Real, 1> parameter_gradient,
                          State input_gradient) const {
  const auto batch = static_cast<int>(x.extent(0));
  if (parameter_gradient.size() > 0) {
    // dW = g x^T, db = sum over samples of g
    Buffer<Real> xt(x.size());
    blocks::transpose(inputs_, batch, x.data(), xt.data());
    blocks::Gemm<Real>(outputs_, inputs_, batch, false)(g.data(), xt.data(),
                                                        parameter_gradient.data());
    Real* db = parameter_gradient.data() + Index{inputs_} * outputs_;
    std::fill_n(db, outputs_, Real{0});
    for (Index s = 0; s < batch; ++s)
      for (Index i = 0; i < outputs_; ++i) db[i] += g(s, i);
  }
  if (input_gradient.size() > 0) {
    // dx = W^T g
    Buffer<Real> Wt(Index{inputs_} * outputs_);
    blocks::transpose(outputs_, inputs_, weights(), Wt.data());
    blocks::Gemm<Real>(inputs_, batch, outputs_, false)(Wt.data(), g.data(), input_gradient.data());
  }
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
