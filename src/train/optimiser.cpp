#include "deeppcr/train/optimiser.hpp"

#include <cmath>
#include <utility>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

namespace {

std::unique_ptr<UpdateRule> make_rule(const OptimiserOptions& options) {
  const OptimiserEntry& entry = find_optimiser(options.rule);
  OptionValues values(entry.options);
  values.take(options.own);
  return entry.make(values);
}

}  // namespace

Optimiser::Optimiser(const parallel::Communicator& holders, const OptimiserOptions& options,
                     std::vector<ParameterGroup> groups)
    : holders_(holders),
      clip_norm_(options.clip_norm),
      rule_(make_rule(options)),
      groups_(std::move(groups)) {
  if (!(clip_norm_ >= 0 && std::isfinite(clip_norm_)))
    throw input_error("clipping norm {}: a finite number from 0 is needed", clip_norm_);
  for (const ParameterGroup& group : groups_) {
    memories_.emplace_back();
    for (std::size_t a = 0; a < rule_->memory().size(); ++a)
      memories_.back().emplace_back(group.array.local_size());
  }
}

/// Shared arrays count once.
double Optimiser::square_norm() const {
  double sum = 0;
  for (const ParameterGroup& group : groups_) {
    if (group.array.shared && holders_.rank() > 0) continue;
    for (Index i = 0; i < group.array.local_size(); ++i)
      sum += group.gradient[i] * group.gradient[i];
  }
  return holders_.sum(sum);
}

double Optimiser::update(double learning_rate) {
  const double norm = std::sqrt(square_norm());
  if (!std::isfinite(norm)) return norm;
  const bool clips = clip_norm_ > 0 && norm > clip_norm_;
  ++updates_;
  Update update;
  update.scale = clips ? clip_norm_ / norm : 1;
  update.rate = learning_rate;
  update.number = updates_;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    update.size = groups_[g].array.local_size();
    update.parameters = groups_[g].array.values;
    update.gradient = groups_[g].gradient;
    update.memory.clear();
    for (Buffer<Real>& memory : memories_[g]) update.memory.push_back(memory.data());
    rule_->apply(update);
  }
  return norm;
}

std::vector<StoredArray> Optimiser::state() {
  std::vector<StoredArray> arrays;
  const std::vector<UpdateRule::Memory> memory = rule_->memory();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (std::size_t a = 0; a < memory.size(); ++a) {
      StoredArray array = groups_[g].array;
      array.name += std::string("/") + memory[a].name;
      array.values = memories_[g][a].data();
      array.long_name = std::string(memory[a].content) + ", " + groups_[g].array.name;
      arrays.push_back(std::move(array));
    }
  }
  return arrays;
}

}  // namespace deeppcr::train
