#include "deeppcr/models/loss.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/options.hpp"

namespace deeppcr::models {

LossReport softmax_cross_entropy(State logits, const std::vector<int>& labels, bool with_gradient) {
  const Index batch = logits.extent(0), classes = logits.extent(1);
  if (static_cast<Index>(labels.size()) != batch)
    throw input_error("{} labels for {} samples", labels.size(), batch);
  for (const int label : labels) {
    if (label < 0 || label >= classes)
      throw input_error("the label {} is none of the classes 0 to {}", label, classes - 1);
  }
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

Index Loss::rows(const StepSet& local) const {
  Index before = 0;
  while (before < local.size() && !reads(local.step(before))) ++before;
  return local.size() - before;
}

CrossEntropy::CrossEntropy(Index num_steps, int width, int classes, std::uint64_t seed)
    : last_(num_steps - 1), head_(LayerRole::head, width, classes, seed) {}

std::vector<sequence::ParameterGroup> CrossEntropy::parameters() {
  const Index rows = head_.inputs() + 1;
  return {{"head", false, rows, head_.rows(), "weights by input, then the bias: head"}};
}

/// Logits of the last state, [samples, classes]. @pre it is here
State CrossEntropy::forward(const LossData& data) {
  const ConstState z = data.states[data.local.row(last_)].slice(0, data.samples);
  logits_.reserve(data.samples * head_.outputs());
  const State logits(logits_.data(), {data.samples, head_.outputs()});
  head_.forward(z, logits);
  return logits;
}

LossReport CrossEntropy::evaluate(const LossData& data, const LossGradients* gradients) {
  if (!data.local.contains(last_)) return {};
  const State logits = forward(data);
  LossReport report = softmax_cross_entropy(logits, data.labels, gradients != nullptr);
  report.loss *= data.weight;
  if (gradients == nullptr) return report;
  for (Real& value : logits) value *= data.weight;
  const ConstState z = data.states[data.local.row(last_)].slice(0, data.samples);
  View<Real, 1> by_head;
  if (!gradients->parameters.empty()) {
    const View<Real, 2>& rows = gradients->parameters.front();
    by_head = {rows.data(), {rows.size()}};
  }
  const Index row = data.local.row(last_) - (data.local.size() - gradients->states.extent(0));
  head_.gradient(z, logits, by_head, gradients->states[row].slice(0, data.samples));
  return report;
}

std::vector<int> CrossEntropy::classify(const LossData& data) {
  std::vector<int> taken;
  if (!data.local.contains(last_)) return taken;
  const State logits = forward(data);
  for (Index s = 0; s < data.samples; ++s) {
    const View<Real, 1> one = logits[s];
    taken.push_back(static_cast<int>(std::max_element(one.begin(), one.end()) - one.begin()));
  }
  return taken;
}

namespace {

std::vector<bool> chosen_rows(Index num_steps, const std::string& text) {
  std::vector<bool> rows(static_cast<std::size_t>(num_steps), text == "every");
  if (text == "every") return rows;
  if (text == "last") {
    rows.back() = true;
    return rows;
  }
  for (const char *at = text.data(), *end = at + text.size();; ++at) {
    Index state = 0;
    const auto [next, code] = std::from_chars(at, end, state);
    if (code != std::errc() || state < 1 || state > num_steps || (next != end && *next != ','))
      throw input_error(
          "rows '{}' of a loss: last, every, or numbers from 1 to {} separated by commas", text,
          num_steps);
    rows[static_cast<std::size_t>(state - 1)] = true;
    if (next == end) return rows;
    at = next;
  }
}

}  // namespace

SquaredError::SquaredError(Index num_steps, const std::string& rows)
    : rows_(chosen_rows(num_steps, rows)), count_(std::count(rows_.begin(), rows_.end(), true)) {}

LossReport SquaredError::evaluate(const LossData& data, const LossGradients* gradients) {
  const Index n = data.states.extent(2);
  const bool labelled = data.targets.values.size() == 0;
  DEEPPCR_ASSERT(!labelled || static_cast<Index>(data.labels.size()) == data.samples,
                 "{} labels for {} samples", data.labels.size(), data.samples);
  const Real scale = data.weight / static_cast<Real>(count_ * data.samples * n);
  const Index before = gradients == nullptr ? 0 : data.local.size() - gradients->states.extent(0);
  LossReport report;
  for (Index i = 0; i < data.local.size(); ++i) {
    const Index l = data.local.step(i);
    if (!reads(l)) continue;
    for (Index s = 0; s < data.samples; ++s) {
      const Real* z = data.states[i][s].data();
      const Real* target = labelled ? nullptr : data.targets.at(l) + s * n;
      Real* g = gradients == nullptr ? nullptr : gradients->states[i - before][s].data();
      for (Index k = 0; k < n; ++k) {
        const Real own = labelled ? k == data.labels[static_cast<std::size_t>(s)] : target[k];
        report.loss += scale * (z[k] - own) * (z[k] - own);
        if (g != nullptr) g[k] = 2 * scale * (z[k] - own);
      }
    }
  }
  return report;
}

namespace {

Catalogue<LossEntry>& table() {
  static Catalogue<LossEntry> entries{
      "loss",
      {
          {"cross-entropy",
           "softmax cross-entropy of a linear classifier on the last state",
           {},
           [](const OptionValues&, const LossSizes& sizes) {
             return std::make_unique<CrossEntropy>(sizes.steps, sizes.width, sizes.classes,
                                                   sizes.seed);
           }},
          {"squared-error",
           "mean square of what states differ by from the unit vectors of their labels",
           {text_option("loss-rows", "last",
                        "states that count: last, every, or numbers from 1 on, as "
                        "10,20,30")},
           [](const OptionValues& options, const LossSizes& sizes) {
             return std::make_unique<SquaredError>(sizes.steps, options.word("loss-rows"));
           },
           LabelUse::components},
      }};
  return entries;
}

}  // namespace

const std::deque<LossEntry>& losses() { return table().entries(); }

void add_to_catalogue(LossEntry entry) { table().add(std::move(entry)); }

const LossEntry& find_loss(const std::string& name) { return table().find(name); }

std::unique_ptr<Loss> make(const LossOptions& options, const LossSizes& sizes) {
  const LossEntry& entry = find_loss(options.name);
  return entry.make(OptionValues(entry.options, options.own), sizes);
}

}  // namespace deeppcr::models
