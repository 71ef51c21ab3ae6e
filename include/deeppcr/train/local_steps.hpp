#pragma once

#include <functional>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/process_grid.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// How far data ranks go by themselves.
///
/// Source: CELGC, arXiv 2205.05040:  x_i <- x_i - min(eta, gamma / |g_i|) g_i with the gradient g_i
/// of rank i's own samples and gamma = eta x the clipping norm; every so many updates
/// x_i <- mean of all x_j.
struct LocalSteps {
  bool own_gradients = false;    ///< else all follow the mean gradient of the whole batch
  Index updates = 1;             ///< between two means of the parameters; at first, where they grow
  bool averages_memory = false;  ///< what the optimiser keeps is averaged along with them
  double drift_bound = 0;        ///< they become more below half of it, fewer above; 0: they stay

  bool grow() const { return drift_bound > 0; }
};

/// When the rounds of a run end: each so many updates, or in lengths that follow the drift.
class Rounds {
 public:
  /// @throws Error for no updates
  explicit Rounds(const LocalSteps& local);

  /// Updates of the round that is going on.
  Index length() const { return static_cast<Index>(state_[0]); }
  /// Whether the last update has ended one, or is to end one.
  bool is_over(Index updates_done) const;
  /// Ends one there. The next takes twice as many updates where the drift was at most half of the
  /// bound, which would let it reach the bound; half as many, at least 1, above the bound.
  void end(Index updates_done, double drift);
  /// What lengths depend on, for checkpoints; nothing where they stay.
  std::vector<StoredArray> state();

 private:
  double drift_bound_;
  Buffer<Real> state_;  ///< length, updates at the end of the last round
};

/// Parameters that each data rank changes by itself, with what its optimiser keeps of them.
///
///     BEFORE  data rank 0: x_0   1: x_1   2: x_2   3: x_3
///     AFTER   each of them: (x_0 + x_1 + x_2 + x_3) / 4
class Replicas {
 public:
  /// Each depth rank has its rows of the arrays. The grid and the arrays' values must outlive the
  /// object.
  Replicas(const parallel::ProcessGrid& grid, std::vector<StoredArray> parameters,
           std::vector<StoredArray> memory);

  /// Parameters (and memory) become their mean. Returns the drift: the largest distance of a data
  /// rank's parameters from the mean, relative to the norm of the mean. Collective.
  /// Cost: one sum of all numbers over the data axis; two reductions of at most two numbers.
  double average(bool with_memory);
  /// Whether any data rank has other parameters than the first. Collective; a broadcast of them.
  bool differ();
  /// Calls body() with the mean parameters in place of this rank's own. Collective; one such sum.
  void at_mean(const std::function<void()>& body);

  /// What a checkpoint holds: the mean of the memory, and of the parameters where data ranks differ
  /// in them, valid until the next call of anything here; then own(). Collective.
  std::vector<StoredArray> stored(bool parameters_differ);
  /// Every data rank's own rows, one behind the other: own/NAME, [data ranks * rows, row size].
  std::vector<StoredArray> own(bool with_parameters) const;

 private:
  /// Of the arrays [first, last): into mean_.
  void find_mean(std::size_t first, std::size_t last);
  void exchange();
  Real* mean_of(std::size_t array) { return mean_.data() + starts_[array]; }

  const parallel::ProcessGrid& grid_;
  std::vector<StoredArray> arrays_;  ///< parameters, then memory
  std::size_t num_parameters_;       ///< arrays of them
  std::vector<Index> starts_;        ///< of each array in mean_, and the end
  Buffer<Real> mean_;
};

}  // namespace deeppcr::train
