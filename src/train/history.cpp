#include "deeppcr/train/history.hpp"

#include <algorithm>
#include <utility>

namespace deeppcr::train {

History::History(std::vector<std::string> stages) : stages_(std::move(stages)) {
  stages_.emplace_back("update");
}

const double* History::add(const StepRecord& record) {
  const StepOutcome& outcome = record.outcome;
  const auto number = [](Index value) { return static_cast<double>(value); };
  values_.insert(values_.end(), {number(record.step), number(record.epoch), outcome.loss,
                                 outcome.accuracy, record.learning_rate, record.gradient_norm,
                                 number(outcome.newton_iterations), outcome.fell_back ? 1.0 : 0.0});
  for (const std::string& stage : stages_) {
    const auto found = outcome.seconds.find(stage);
    values_.push_back(found == outcome.seconds.end() ? 0.0 : found->second);
  }
  return row(rows() - 1);
}

double* History::resize(Index rows) {
  values_.resize(static_cast<std::size_t>(rows * row_size()));
  return values_.data();
}

double History::sum(Index column, Index count) const {
  double sum = 0;
  for (Index i = std::max<Index>(0, rows() - count); i < rows(); ++i) sum += row(i)[column];
  return sum;
}

double History::mean(Index column, Index count) const {
  const Index used = std::min(rows(), count);
  return used > 0 ? sum(column, used) / static_cast<double>(used) : 0;
}

}  // namespace deeppcr::train
