#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/train/trainable.hpp"
#include "deeppcr/train/weight_history.hpp"

namespace deeppcr::train {

/// Gradients that come late: each is taken at the weights of d updates before, the first ones at
/// those of the start,
///
///     W(t + 1) = W(t) - eta g(W(max(0, t - d)))
///
/// where g may be what any optimiser makes of the gradient. The same d for all layers, or of stage
/// s of a pipeline of P stages d = 2 (P - 1 - s), which is what it takes a mini-batch to come back
/// to the stage.
///
/// Sources: PipeDream-2BW (d = 1, keep), arXiv 2006.09503; LayerPipe (by stage), arXiv 2108.06629.
struct Delay {
  Index updates = 0;  ///< d; 0: every gradient is at the newest weights
  OldWeightsRule rule = OldWeightsRule::keep;
  bool by_stage = false;  ///< d is 2 (P - 1 - s) instead

  bool any() const { return by_stage || updates > 0; }
  Index of(int stage, int stages) const { return by_stage ? 2 * (stages - 1 - stage) : updates; }
  /// Arrays as large as all parameters that the first of so many stages holds for it.
  Index arrays(int stages) const;
};

/// The weights of two mini-batches beside the newest ones, W(t): those of the mini-batch whose
/// gradient makes W(t + 1), and of the one behind it, on which work may begin before. They are
/// W(t - d) and W(t + 1 - d), both come by from one update before their mini-batch is next: so the
/// second one of delay 1 is W(t) itself, whatever the rule.
class OldWeights {
 public:
  /// The same on all ranks that hold the parameters, whose values are W(0) and must outlive the
  /// object. @pre !delay.by_stage, delay.updates > 0
  OldWeights(const Delay& delay, std::vector<StoredArray> parameters, bool counts_shared);

  enum class Shown { newest, first, second };
  /// The parameters become those.
  void show(Shown wanted);
  /// They become W(t), an update of which follows.
  void before_update();
  /// That has made W(t + 1) of it.
  void updated();

  /// Of the weights that before_update() has made, as WeightHistory::take_look().
  std::optional<std::array<double, 2>> take_look();

  /// What a run goes on from besides the updates done: those of WeightHistory, and
  /// "NAME/<d>_updates_ago".
  std::vector<StoredArray> state();
  /// Says that those, and the parameters, stand as after so many updates.
  void resume(Index updates);

 private:
  void make_second();

  Index delay_;
  WeightHistory history_;
  Index updates_ = 0;  ///< t
  Shown shown_ = Shown::newest;
  bool second_made_ = false;
  Buffer<Real> newest_, first_;
  Buffer<Real> second_;  ///< empty where it is W(t)
};

}  // namespace deeppcr::train
