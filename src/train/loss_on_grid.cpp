#include "train/loss_on_grid.hpp"

#include <algorithm>

#include "deeppcr/models/losses.hpp"

namespace deeppcr::train {

namespace {

/// Depth ranks with a state that the loss reads.
int count_readers(const models::Loss& loss, const parallel::BlockLayout& layout) {
  int readers = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) readers += loss.rows(layout.steps(p)) > 0 ? 1 : 0;
  return readers;
}

/// The place of the largest number.
int largest(View<const Real, 1> y) {
  return static_cast<int>(std::max_element(y.begin(), y.end()) - y.begin());
}

}  // namespace

ParameterGroup group_of(const sequence::ParameterGroup& group, const StepSet& own, bool shared,
                        const Real* gradient) {
  StoredArray array{group.name, group.rows,          group.row_size(),
                    own,        group.values.data(), group.content};
  array.shared = shared;
  return {std::move(array), gradient};
}

LossOnGrid::LossOnGrid(const parallel::ProcessGrid& grid, models::Loss& loss,
                       const parallel::BlockLayout& layout, sequence::Columns columns)
    : grid_(grid),
      loss_(loss),
      columns_(columns),
      local_(layout.steps(grid.depth().rank())),
      num_steps_(layout.num_steps()),
      rows_(loss.rows(local_)),
      readers_(count_readers(loss, layout)),
      groups_(loss.parameters()),
      gradients_(groups_),
      addends_(groups_) {}

std::vector<ParameterGroup> LossOnGrid::parameters() const {
  std::vector<ParameterGroup> all;
  for (int g = 0; g < gradients_.groups(); ++g) {
    const sequence::ParameterGroup& group = groups_[static_cast<std::size_t>(g)];
    const StepRange held{0, has_parameters() ? group.rows : 0};
    all.push_back(group_of(group, held, is_shared(), gradients_[g].data()));
    all.back().kind = loss_.kind(g);
  }
  return all;
}

bool LossOnGrid::has_truth(const Examples& examples) const {
  if (loss_.takes_targets()) return examples.target_width() > 0;
  return loss_.classes() == 0 || examples.classes() > 0;
}

Index LossOnGrid::count_judged(const Examples& examples, const Index* samples, Index count) const {
  if (!examples.has_lengths()) return std::max<Index>(1, count);
  const auto judged = std::count_if(samples, samples + count, [&](Index sample) {
    return loss_.judges(examples.length(sample));
  });
  return std::max<Index>(1, judged);
}

namespace {

/// [samples], or [steps, samples] where each step has its own.
std::vector<int> labels_of(const Examples& examples, const Index* samples, Index used,
                           Index steps) {
  std::vector<int> labels;
  if (examples.classes() == 0) return labels;
  const Index rows = examples.labels_each() ? steps : 1;
  labels.reserve(static_cast<std::size_t>(rows * used));
  for (Index l = 0; l < rows; ++l)
    for (Index s = 0; s < used; ++s) labels.push_back(examples.label(samples[s], l));
  return labels;
}

/// Of some steps, [steps.size(), samples, k]; zeros behind a sample's end.
void fill_targets(const Examples& examples, const Index* samples, const StepSet& steps,
                  States targets) {
  const Index k = targets.extent(2);
  for (Index i = 0; i < steps.size(); ++i) {
    for (Index s = 0; s < targets.extent(1); ++s) {
      const Real* target = examples.target(samples[s], steps.step(i));
      Real* to = targets[i][s].data();
      if (target == nullptr) {
        std::fill_n(to, k, Real{0});
      } else {
        std::copy_n(target, k, to);
      }
    }
  }
}

}  // namespace

const LossOnGrid::Part& LossOnGrid::part(const Examples& examples, const Index* samples, Index used,
                                         ConstStates states) {
  part_.examples = &examples;
  part_.samples = samples;
  models::LossData& data = part_.data = {};
  data.local = local_;
  data.states = states;
  data.samples = used;
  data.positive_share = examples.positive_share();
  if (rows_ > 0) data.labels = labels_of(examples, samples, used, num_steps_);
  if (examples.has_lengths()) {
    part_.lengths.clear();
    for (Index s = 0; s < used; ++s) part_.lengths.push_back(examples.length(samples[s]));
    data.lengths = part_.lengths.data();
  }
  if (const int k = examples.target_width(); loss_.takes_targets() && rows_ > 0) {
    // Of a sample that ends early, the target of the last state is that of another rank's step.
    const StepSet steps = loss_.reads(0) ? local_ : StepSet(StepRange{0, num_steps_});
    part_.targets.reserve(steps.size() * used * k);
    const States targets(part_.targets.data(), {steps.size(), used, k});
    fill_targets(examples, samples, steps, targets);
    data.targets = {steps, targets};
  }
  if (needs_all_steps()) {
    part_.sums.reset(loss_.num_sums(used));
    loss_.add_sums(data, part_.sums.data());
    if (grid_.depth().size() > 1) grid_.depth().sum(part_.sums.data(), part_.sums.size());
    data.sums = part_.sums.data();
  }
  return part_;
}

void LossOnGrid::begin() {
  adds_ = false;
  for (int g = 0; g < gradients_.groups() && is_shared(); ++g)
    std::fill(gradients_[g].begin(), gradients_[g].end(), Real{0});
}

models::LossReport LossOnGrid::differentiate(const Part& part, Real weight, States by_states) {
  if (rows_ == 0) return {};
  const sequence::ParameterGradients& own = adds_ ? addends_ : gradients_;
  models::LossGradients into{by_states, {}};
  for (int g = 0; g < own.groups(); ++g) into.parameters.push_back(own[g]);
  models::LossData data = part.data;
  data.weight = weight;
  const models::LossReport report = loss_.evaluate(data, &into);
  for (int g = 0; g < own.groups() && adds_; ++g)
    for (Index i = 0; i < own[g].size(); ++i) gradients_[g].data()[i] += own[g].data()[i];
  adds_ = true;
  return report;
}

void LossOnGrid::sum(parallel::PendingSums& sums) {
  for (int g = 0; g < gradients_.groups() && has_parameters(); ++g) {
    const View<Real, 2> gradient = gradients_[g];
    if (is_shared()) grid_.depth().sum(gradient.data(), gradient.size());
    sums.start(gradient.data(), gradient.size());
  }
}

bool LossOnGrid::judges_steps(const Examples& examples) const {
  const bool reads_all = loss_.reads(0) && !needs_all_steps();
  const bool by_sample = examples.classes() > 0 && !examples.labels_each();
  return reads_all && (loss_.classes() == 0 || !by_sample);
}

template <typename Visit>
void LossOnGrid::each_output(const Part& part, const Visit& visit) {
  const models::End* head = loss_.head();
  if (head == nullptr) return;
  outputs_.reserve(part.data.samples * head->outputs());
  const State y(outputs_.data(), {part.data.samples, head->outputs()});
  for (Index i = local_.size() - rows_; i < local_.size(); ++i) {
    models::apply_head(*head, columns_, part.data.states[i].slice(0, part.data.samples), y);
    visit(local_.step(i), y);
  }
}

void LossOnGrid::score(const Part& part, Evaluation& evaluation) {
  const models::LossData& data = part.data;
  if (rows_ == 0) return;
  evaluation.loss += static_cast<double>(data.samples) * loss_.evaluate(data, nullptr).loss;
  if (evaluation.classes > 0 && judges_steps(*part.examples)) {
    each_output(part, [&](Index l, State y) {
      for (Index s = 0; s < data.samples; ++s)
        if (data.has(l, s)) evaluation.count(data.label(l, s), largest(y[s]));
    });
    return;
  }
  if (!evaluation.scores.empty()) {
    const std::vector<Real> scores = loss_.scores(data);
    for (std::size_t s = 0; s < scores.size(); ++s)
      evaluation.scores[static_cast<std::size_t>(part.samples[s])] = scores[s];
  }
  const std::vector<int> taken = loss_.classify(data);
  for (std::size_t s = 0; s < taken.size(); ++s) {
    const auto sample = static_cast<Index>(s);
    const Index length = data.length(sample, num_steps_);
    if (length > 0) evaluation.count(data.label(length - 1, sample), taken[s]);
  }
}

void LossOnGrid::make_room(const Examples& examples, Predictions& predictions) const {
  predictions.samples = examples.count();
  predictions.steps = judges_steps(examples) ? num_steps_ : 1;
  const models::End* head = loss_.head();
  predictions.width = loss_.classes() > 0 ? 1 : head != nullptr ? head->outputs() : 0;
  predictions.values.reset(predictions.samples * predictions.steps * predictions.width);
}

void LossOnGrid::predict(const Part& part, Predictions& predictions) {
  const models::LossData& data = part.data;
  const Index steps = predictions.steps, width = predictions.width;
  const auto place = [&](Index l, Index s) {
    const Index row = part.samples[s] * steps + (steps > 1 ? l : 0);
    return predictions.values.data() + row * width;
  };
  if (rows_ == 0 || width == 0) return;
  if (loss_.classes() > 0 && !judges_steps(*part.examples)) {
    const std::vector<int> taken = loss_.classify(data);
    for (Index s = 0; s < static_cast<Index>(taken.size()); ++s)
      if (data.length(s, num_steps_) > 0) *place(0, s) = taken[static_cast<std::size_t>(s)];
    return;
  }
  each_output(part, [&](Index l, State y) {
    for (Index s = 0; s < data.samples; ++s) {
      if (steps > 1 ? !data.has(l, s) : data.length(s, num_steps_) == 0) continue;
      if (loss_.classes() > 0) {
        *place(l, s) = largest(y[s]);
      } else {
        std::copy_n(y[s].data(), width, place(l, s));
      }
    }
  });
}

}  // namespace deeppcr::train
