#pragma once

#include <array>
#include <optional>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// How weights of earlier updates are come by: kept; rebuilt from the updates since, u(t) = W(t +
/// 1) - W(t), whatever the optimiser made them of; or estimated from the running mean of those.
enum class OldWeightsRule { keep, exact, average };

/// Their names, as above.
const Words<OldWeightsRule>& old_weights_rules();

/// The weights of up to d updates ago, of this rank's parameters:
///
///     keep      d versions of the weights
///     exact     W(t) - sum of the updates since
///     average   W(t - l) ~ W(t) - l E(t),  E(t + 1) = beta E(t) + (1 - beta) u(t),  beta = 1 - 1/d
///
/// Before the first update the weights were W(0). Source: LayerPipe2 (exact, average).
class WeightHistory {
 public:
  /// The arrays' values are W(0), and must outlive the object. counts_shared: shared arrays count
  /// in looks on this rank.
  WeightHistory(OldWeightsRule rule, Index depth, std::vector<StoredArray> parameters,
                bool counts_shared);

  /// Arrays as large as the parameters that it holds.
  static Index arrays(OldWeightsRule rule, Index depth);

  /// W(t - lag), of parameters that stand at W(t): [numbers of the parameters].
  /// @pre 0 <= lag <= depth. Cost: lag sums over the parameters for `exact`, else at most one
  void rebuild(Index t, Index lag, Buffer<Real>& old);
  /// Takes note of the update to W(t + 1), where the parameters stand. `before`: W(t), whose memory
  /// it may take for something else.
  void updated(Index t, Buffer<Real>& before);

  /// All parameters of this rank.
  Index size() const { return starts_.back(); }
  void copy_to(Buffer<Real>& numbers) const;
  void copy_from(const Buffer<Real>& numbers);
  void swap_with(Buffer<Real>& numbers);

  /// Squares of the distance of what rebuild() has given from the weights that were, and of these,
  /// on this rank: known at the full depth every d updates, since for that one version is kept as a
  /// measure (of `keep`: no distance). Taken once.
  std::optional<std::array<double, 2>> take_look();

  /// What a run goes on from, parameter by parameter: "NAME/version_0", "NAME/update_0" or
  /// "NAME/mean_update", and "NAME/version" the measure.
  std::vector<StoredArray> state();
  /// The same where no lag reaches beyond the updates that follow: "NAME/mean_update" of `average`,
  /// with any depth.
  std::vector<StoredArray> mean();
  /// Numbers of this rank's parameters as arrays named NAME/`name`, for checkpoints.
  std::vector<StoredArray> as_arrays(Buffer<Real>& numbers, const std::string& name,
                                     const std::string& content) const;

  /// The squares over all holders give the distance relative to the norm.
  static double relative(const std::array<double, 2>& squares);

 private:
  void look(const Buffer<Real>& old);
  bool measures() const { return depth_ > 0 && rule_ != OldWeightsRule::keep; }
  Buffer<Real>& slot(Index t) {
    return slots_[static_cast<std::size_t>(((t % depth_) + depth_) % depth_)];
  }
  /// Calls visit(parameter, number) for the numbers of a flat array.
  template <typename Numbers, typename Visit>
  void each(Numbers& numbers, const Visit& visit) const;

  OldWeightsRule rule_;
  Index depth_;
  std::vector<StoredArray> parameters_;
  bool counts_shared_;
  std::vector<Index> starts_;        ///< of each array in a flat one, and the end
  std::vector<Buffer<Real>> slots_;  ///< versions or updates by t % d; or the mean update
  Buffer<Real> measure_;             ///< W at the last t that d divides; empty for `keep`
  std::optional<std::array<double, 2>> look_;
};

}  // namespace deeppcr::train
