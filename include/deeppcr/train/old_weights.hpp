#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// Gradients of a constant delay of d updates, the first ones at the weights of the start:
///
///     W(t + 1) = W(t) - eta g(W(max(0, t - d)))
///
/// where g may be what any optimiser makes of the gradient, u(t) = W(t + 1) - W(t) its update.
/// W(t - d) is kept, rebuilt from the updates since, or estimated from their running mean:
///
///     keep      d versions of the weights
///     exact     W(t) - sum of the last d updates
///     average   W(t) - d E(t),  E(t + 1) = beta E(t) + (1 - beta) u(t),  beta = 1 - 1 / d
///
/// Sources: PipeDream-2BW (d = 1, keep), arXiv 2006.09503; LayerPipe, arXiv 2108.06629, and
/// LayerPipe2 (exact, average).
struct Delay {
  enum class Rule { keep, exact, average };
  Index updates = 0;  ///< d; 0: every gradient is at the newest weights
  Rule rule = Rule::keep;

  /// Arrays as large as all parameters that a rank holds for it.
  Index arrays() const;
};

/// Their names, as above.
const Words<Delay::Rule>& delay_rules();

/// The weights of d updates ago beside the newest ones.
class OldWeights {
 public:
  /// holders: the ranks that hold different rows, or all of shared arrays. They and the arrays'
  /// values, W(0), must outlive the object. @pre delay.updates > 0
  OldWeights(const parallel::Communicator& holders, const Delay& delay,
             std::vector<StoredArray> parameters);

  /// Calls body() with the weights of d updates ago in place of the parameters, which stand at W(t)
  /// before and afterwards. Collective.
  /// Cost: d sums over the parameters for `exact`, else at most one; every d updates a reduction.
  void at_old(Index t, const std::function<void()>& body);
  /// Takes note of the update that has made W(t + 1) of W(t), where at_old(t) was the last call.
  void updated(Index t);

  /// For updates in a row, by two versions: the parameters become W(t) or the version before it.
  void show(bool newest);
  /// W(t), which the parameters are, becomes the version before the newest; an update follows.
  void keep_newest();
  /// Whether it has these two, one of them kept.
  bool flows() const { return delay_.rule == Delay::Rule::keep && delay_.updates == 1; }

  /// How far the weights in the last at_old() were from W(t - d), relative to its norm: looked at
  /// every d updates, since for that `exact` and `average` keep one version as a measure.
  std::optional<double> drift() const { return drift_; }

  /// What a run goes on from, parameter by parameter: "NAME/version_0", "NAME/update_0" or
  /// "NAME/mean_update", and "NAME/version" the measure.
  std::vector<StoredArray> state();

 private:
  /// The parameters become W(t - d).
  void go_back(Index t);
  void look(Index t);
  /// Of the parameters from the measure, relative to its norm.
  double distance() const;
  Buffer<Real>& slot(Index t) { return slots_[static_cast<std::size_t>(t % delay_.updates)]; }
  /// Calls visit(parameter, number) for the numbers of a flat array.
  template <typename Numbers, typename Visit>
  void each(Numbers& numbers, const Visit& visit) const;

  const parallel::Communicator& holders_;
  Delay delay_;
  std::vector<StoredArray> parameters_;
  std::vector<Index> starts_;        ///< of each array in a flat one, and the end
  std::vector<Buffer<Real>> slots_;  ///< versions or updates by t % d; or the mean update
  Buffer<Real> newest_;              ///< W(t)
  Buffer<Real> measure_;             ///< W at the last t that d divides; empty for `keep`
  bool shows_newest_ = true;
  std::optional<double> drift_;
};

}  // namespace deeppcr::train
