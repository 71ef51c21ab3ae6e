#pragma once

#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/train/parameters.hpp"
#include "deeppcr/train/update_rule.hpp"

namespace deeppcr::train {

/// Which rule, and what of it is not as its entry has it.
struct OptimiserOptions {
  std::string rule = "adamw";
  OptionValues own = {};  ///< of the entry's options, those that are not at their defaults
  double clip_norm = 0;   ///< gradients longer than this are shortened to it; 0: never
};

/// What one update did.
struct UpdateReport {
  double gradient_norm = 0;  ///< of all parameters together, before clipping
  bool applied = false;      ///< false where the gradient is infinite or NaN: nothing has changed
};

/// Updates parameters from their gradients. Its state lives beside the parameters, on the rank that
/// holds them.
class Optimiser {
 public:
  /// holders: the ranks that hold different rows, or all of shared arrays (the depth axis of a
  /// grid), which must outlive the object, as the groups' arrays must. @throws Error for options
  /// without sense
  Optimiser(const parallel::Communicator& holders, const OptimiserOptions& options,
            std::vector<ParameterGroup> groups);

  /// One update from the gradients that the groups point to. Collective over the holders.
  /// Cost: 4 (sgd) to 12 (adam) flops a parameter; one reduction of a number.
  UpdateReport update(double learning_rate);

  Index updates() const { return updates_; }
  void set_updates(Index updates) { updates_ = updates; }
  /// The state that a checkpoint has to hold besides updates(), such as "<group>/momentum".
  std::vector<StoredArray> state();

 private:
  double square_norm() const;

  const parallel::Communicator& holders_;
  double clip_norm_;
  std::unique_ptr<UpdateRule> rule_;
  std::vector<ParameterGroup> groups_;
  std::vector<std::vector<Buffer<Real>>> memories_;  ///< of each group, as the rule lists them
  Index updates_ = 0;
};

}  // namespace deeppcr::train
