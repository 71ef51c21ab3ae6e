#include "deeppcr/train/optimiser.hpp"

#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {

void check(const OptimiserOptions& options) {
  const auto fraction = [](const char* what, double value) {
    if (!(value >= 0 && value < 1))
      throw input_error("{} {}: a number from 0 to below 1 is needed", what, value);
  };
  const auto positive = [](const char* what, double value) {
    if (!(value >= 0 && std::isfinite(value)))
      throw input_error("{} {}: a finite number from 0 is needed", what, value);
  };
  fraction("momentum", options.momentum);
  fraction("beta1", options.beta1);
  fraction("beta2", options.beta2);
  positive("epsilon", options.epsilon);
  positive("weight decay", options.weight_decay);
  positive("clipping norm", options.clip_norm);
  if (options.nesterov && (options.rule != Rule::sgd || options.momentum == 0))
    throw input_error("Nesterov's form needs sgd with a momentum above 0");
}

}  // namespace

const char* name(Rule rule) {
  switch (rule) {
    case Rule::sgd:
      return "sgd";
    case Rule::adam:
      return "adam";
    case Rule::adamw:
      break;
  }
  return "adamw";
}

Rule rule_from(const std::string& name) {
  for (const Rule rule : {Rule::sgd, Rule::adam, Rule::adamw}) {
    if (name == train::name(rule)) return rule;
  }
  throw input_error("unknown optimiser '{}': known are sgd, adam, adamw", name);
}

Optimiser::Optimiser(const parallel::Communicator& holders, const OptimiserOptions& options,
                     std::vector<ParameterGroup> groups)
    : holders_(holders), options_(options), groups_(std::move(groups)) {
  check(options);
  const bool adaptive = options.rule != Rule::sgd;
  for (const ParameterGroup& group : groups_) {
    const Index size = group.array.local_size();
    Memory memory;
    if (adaptive || options.momentum > 0) memory.first.reset(size);
    if (adaptive) memory.second.reset(size);
    memories_.push_back(std::move(memory));
  }
}

double Optimiser::square_norm() const {
  double sum = 0;
  for (const ParameterGroup& group : groups_) {
    if (group.array.shared && holders_.rank() > 0) continue;
    for (Index i = 0; i < group.array.local_size(); ++i)
      sum += group.gradient[i] * group.gradient[i];
  }
  return holders_.sum(sum);
}

UpdateReport Optimiser::update(double learning_rate) {
  UpdateReport report;
  report.gradient_norm = std::sqrt(square_norm());
  if (!std::isfinite(report.gradient_norm)) return report;
  const bool clips = options_.clip_norm > 0 && report.gradient_norm > options_.clip_norm;
  const double scale = clips ? options_.clip_norm / report.gradient_norm : 1;
  ++updates_;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (options_.rule == Rule::sgd) {
      apply_sgd(groups_[g], memories_[g], learning_rate, scale);
    } else {
      apply_adam(groups_[g], memories_[g], learning_rate, scale);
    }
  }
  report.applied = true;
  return report;
}

void Optimiser::apply_sgd(const ParameterGroup& group, Memory& memory, double rate,
                          double scale) const {
  Real* p = group.array.values;
  Real* v = memory.first.data();
  const Real mu = options_.momentum, decay = options_.weight_decay;
  for (Index i = 0; i < group.array.local_size(); ++i) {
    const Real g = scale * group.gradient[i] + decay * p[i];
    if (mu == 0) {
      p[i] -= rate * g;
      continue;
    }
    v[i] = mu * v[i] + g;
    p[i] -= rate * (options_.nesterov ? g + mu * v[i] : v[i]);
  }
}

void Optimiser::apply_adam(const ParameterGroup& group, Memory& memory, double rate,
                           double scale) const {
  Real* p = group.array.values;
  Real* m = memory.first.data();
  Real* v = memory.second.data();
  const auto t = static_cast<double>(updates_);
  const Real b1 = options_.beta1, b2 = options_.beta2;
  const Real first = 1 / (1 - std::pow(b1, t)), second = 1 / (1 - std::pow(b2, t));
  const bool decoupled = options_.rule == Rule::adamw;
  const Real added = decoupled ? 0 : options_.weight_decay;
  const Real kept = decoupled ? 1 - rate * options_.weight_decay : 1;
  for (Index i = 0; i < group.array.local_size(); ++i) {
    const Real g = scale * group.gradient[i] + added * p[i];
    m[i] = b1 * m[i] + (1 - b1) * g;
    v[i] = b2 * v[i] + (1 - b2) * g * g;
    p[i] = kept * p[i] - rate * first * m[i] / (std::sqrt(second * v[i]) + options_.epsilon);
  }
}

std::vector<StoredArray> Optimiser::state() {
  std::vector<StoredArray> arrays;
  const bool adaptive = options_.rule != Rule::sgd;
  const auto add = [&](const ParameterGroup& group, Buffer<Real>& values, const char* what,
                       const std::string& long_name) {
    if (group.array.local_size() != values.size()) return;
    StoredArray array = group.array;
    array.name += std::string("/") + what;
    array.values = values.data();
    array.long_name = long_name + ", " + group.array.name;
    arrays.push_back(std::move(array));
  };
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (adaptive) {
      add(groups_[g], memories_[g].first, "mean", "running mean of the gradient");
      add(groups_[g], memories_[g].second, "mean_square", "running mean of its square");
    } else if (options_.momentum > 0) {
      add(groups_[g], memories_[g].first, "momentum", "momentum");
    }
  }
  return arrays;
}

}  // namespace deeppcr::train
