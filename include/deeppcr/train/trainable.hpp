#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "deeppcr/core/error.hpp"
#include "deeppcr/core/step_set.hpp"
#include "deeppcr/models/parameter_kind.hpp"

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
  /// A run whose checkpoint has none goes on with the numbers that are here.
  bool optional = false;

  Index local_size() const { return own.size() * row_size; }
};

/// Trainable numbers of one kind (the layers of a chain, an embedding) with their gradient.
///
/// Ranks along the depth axis of a grid hold different rows, or all of a shared array; those along
/// its data axis the same.
struct ParameterGroup {
  StoredArray array;
  const Real* gradient = nullptr;  ///< [own.size(), row_size], of the mean loss of the batch
  models::ParameterKind kind = models::ParameterKind::weight;
};

/// One mini-batch, equal on all ranks.
struct MiniBatch {
  Index step = 0;   ///< updates before it, over all epochs
  Index epoch = 0;  ///< counted from 0
  const Index* samples = nullptr;
  Index size = 0;
  /// Each data rank wants the gradient of the mean over its own samples, not of the whole batch.
  bool own_gradients = false;
};

/// What one gradient cost and gave; equal on all ranks. Of own gradients: equal on the ranks of one
/// data rank, whose share of the loss it is.
struct StepOutcome {
  double loss = 0;      ///< mean over the batch; NaN where a pass has failed
  double accuracy = 0;  ///< of the batch, 0 to 1; NaN for models that classify nothing
  double counted = 0;   ///< samples that it is of
  Index newton_iterations = 0;
  bool fell_back = false;
  std::string failure;                    ///< why a pass has failed; empty where none has
  std::map<std::string, double> seconds;  ///< by stage, slowest rank
};

/// What happens between the mini-batches of a row, on each rank as soon as it has come so far.
struct Turns {
  /// Work for mini-batch k is next, at its weights; back: its backward pass.
  std::function<void(std::size_t k, bool back)> enter;
  std::function<void(std::size_t k)> update;  ///< the gradient of mini-batch k is there
};

/// A model that the training loop can train: it shows its parameters and differentiates its loss.
/// All ranks of the grid call it together.
class Trainable {
 public:
  virtual ~Trainable() = default;

  /// This rank's rows of all parameters. The arrays stay where they are as long as the object does.
  virtual std::vector<ParameterGroup> parameters() = 0;
  /// Further arrays that the next step depends on, for checkpoints. Ranks along the data axis may
  /// hold different rows of them.
  virtual std::vector<StoredArray> state() { return {}; }
  /// Names of the stages in StepOutcome::seconds.
  virtual std::vector<std::string> stages() const = 0;

  /// Fills the gradients of the parameters with that of the mean loss over the whole batch, summed
  /// over the data axis already; or over the own samples, where the batch says so, while the
  /// outcome is that of all. Collective.
  virtual StepOutcome differentiate(const MiniBatch& batch) = 0;

  /// Whether mini-batches may follow each other through the ranks in a row, without a wait.
  virtual bool flows() const { return false; }
  /// Differentiates them so, by a schedule: work for one begins before the gradients of those
  /// before it are there. @pre flows(). Collective.
  virtual std::vector<StepOutcome> differentiate_in_a_row(const std::vector<MiniBatch>& batches,
                                                          const Turns&) {
    DEEPPCR_ASSERT(batches.empty(), "a row of {} mini-batches", batches.size());
    return {};
  }
};

}  // namespace deeppcr::train
