#include "train/loss_on_grid.hpp"

#include <algorithm>

namespace deeppcr::train {

namespace {

/// Depth ranks with a state that the loss reads.
int count_readers(const models::Loss& loss, const parallel::BlockLayout& layout) {
  int readers = 0;
  for (int p = 0; p < layout.num_ranks(); ++p) readers += loss.rows(layout.steps(p)) > 0 ? 1 : 0;
  return readers;
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
                       const parallel::BlockLayout& layout)
    : grid_(grid),
      loss_(loss),
      local_(layout.steps(grid.depth().rank())),
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
  }
  return all;
}

models::LossData LossOnGrid::data(const Images& images, const Index* samples, Index used,
                                  ConstStates states) const {
  models::LossData data;
  data.local = local_;
  data.states = states;
  data.samples = used;
  for (Index b = 0; b < used; ++b) data.labels.push_back(images.label(samples[b]));
  return data;
}

void LossOnGrid::share_sums(models::LossData& data) {
  const Index count = loss_.num_sums(data.samples);
  if (count == 0) return;
  sums_.reset(count);
  loss_.add_sums(data, sums_.data());
  grid_.depth().sum(sums_.data(), count);
  data.sums = sums_.data();
}

void LossOnGrid::begin() {
  adds_ = false;
  for (int g = 0; g < gradients_.groups() && is_shared(); ++g)
    std::fill(gradients_[g].begin(), gradients_[g].end(), Real{0});
}

models::LossReport LossOnGrid::differentiate(models::LossData data, States by_states) {
  share_sums(data);
  const sequence::ParameterGradients& own = adds_ ? addends_ : gradients_;
  models::LossGradients into{by_states, {}};
  for (int g = 0; g < own.groups(); ++g) into.parameters.push_back(own[g]);
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

void LossOnGrid::score(models::LossData data, Evaluation& evaluation) {
  share_sums(data);
  evaluation.loss += static_cast<double>(data.samples) * loss_.evaluate(data, nullptr).loss;
  const std::vector<int> taken = loss_.classify(data);
  for (std::size_t b = 0; b < taken.size(); ++b)
    ++evaluation
          .confusion[static_cast<std::size_t>(data.labels[b] * evaluation.classes + taken[b])];
}

}  // namespace deeppcr::train
