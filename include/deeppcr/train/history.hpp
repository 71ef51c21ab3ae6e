#pragma once

#include <string>
#include <vector>

#include "deeppcr/train/trainer.hpp"

namespace deeppcr::train {

/// The updates of a whole run as a table of numbers, also of those before a restart.
class History {
 public:
  /// Columns before the seconds of each stage.
  enum Column {
    step,
    epoch,
    loss,
    accuracy,
    learning_rate,
    gradient_norm,
    newton_iterations,
    fell_back,
    num_columns
  };

  /// stages: those of the model; "update" is added as the last one.
  explicit History(std::vector<std::string> stages = {});

  const std::vector<std::string>& stages() const { return stages_; }
  Index row_size() const { return num_columns + static_cast<Index>(stages_.size()); }
  Index rows() const { return static_cast<Index>(values_.size()) / row_size(); }
  const double* row(Index i) const { return values_.data() + i * row_size(); }

  /// Adds a row and returns it.
  const double* add(const StepRecord& record);
  /// Memory for a table of so many rows, to be filled by the caller.
  double* resize(Index rows);

  /// Sum and mean of a column over the last `count` rows, or all there are.
  double sum(Index column, Index count) const;
  double mean(Index column, Index count) const;

 private:
  std::vector<std::string> stages_;
  std::vector<double> values_;
};

}  // namespace deeppcr::train
