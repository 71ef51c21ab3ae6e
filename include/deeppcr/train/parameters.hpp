#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/step_set.hpp"
#include "deeppcr/core/view.hpp"

namespace deeppcr::train {

/// A named array of numbers that a run goes on from: rows of equal size, spread over ranks.
/// Shapes: values [own.size(), row_size]; all ranks together hold [rows, row_size].
struct StoredArray {
  std::string name;  ///< within its group, such as "layers" or "layers/momentum"
  Index rows = 1;
  Index row_size = 0;
  StepSet own;  ///< rows of this rank; empty where it holds none
  Real* values = nullptr;
  std::string long_name;
  /// Every data rank has rows of its own; a run on another number of data ranks does without them.
  bool per_data_rank = false;
  /// Every depth rank holds all rows, with equal numbers.
  bool shared = false;

  Index local_size() const { return own.size() * row_size; }
};

/// Trainable numbers of one kind (the layers of a chain, an embedding) with their gradient.
///
/// Ranks along the depth axis of a grid hold different rows, or all of a shared array; those along
/// its data axis the same.
struct ParameterGroup {
  StoredArray array;
  const Real* gradient = nullptr;  ///< [own.size(), row_size], of the mean loss of the whole batch
};

}  // namespace deeppcr::train
