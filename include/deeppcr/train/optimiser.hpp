#pragma once

#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/train/parameters.hpp"

namespace deeppcr::train {

/// How parameters follow their gradient g, with PyTorch's formulas (learning rate a, update t):
///
///     sgd     v <- momentum v + g;  p <- p - a v          (nesterov: p <- p - a (g + momentum v))
///     adam    m, v <- running means of g and g^2;  p <- p - a m^ / (sqrt(v^) + epsilon)
///     adamw   the same, but weight decay shrinks p itself: p <- (1 - a decay) p first
///
/// Sources: Sutskever et al., ICML 2013; Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter,
/// arXiv 1711.05101.
enum class Rule { sgd, adam, adamw };

/// "sgd" and so on, as the command line has it.
const char* name(Rule rule);
/// @throws Error that lists the known names
Rule rule_from(const std::string& name);

struct OptimiserOptions {
  Rule rule = Rule::adamw;
  double momentum = 0.9;  ///< sgd; 0: none
  bool nesterov = false;  ///< sgd
  double beta1 = 0.9;     ///< adam, adamw: memory of the mean gradient
  double beta2 = 0.999;   ///< adam, adamw: memory of the mean square
  double epsilon = 1e-8;
  double weight_decay = 0;  ///< sgd, adam: added to the gradient; adamw: on the parameters
  double clip_norm = 0;     ///< gradients longer than this are shortened to it; 0: never
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
  /// holders: the ranks that hold different rows (the depth axis of a grid), which must outlive the
  /// object, as the groups' arrays must. @throws Error for options without sense
  Optimiser(const parallel::Communicator& holders, const OptimiserOptions& options,
            std::vector<ParameterGroup> groups);

  /// One update from the gradients that the groups point to. Collective over the holders.
  /// Cost: 4 (sgd) to 12 (adam) flops a parameter; one reduction of a number.
  UpdateReport update(double learning_rate);

  Index updates() const { return updates_; }
  void set_updates(Index updates) { updates_ = updates; }
  /// The state that a checkpoint has to hold besides updates(): "<group>/momentum", or
  /// "<group>/mean" and "<group>/mean_square".
  std::vector<StoredArray> state();

 private:
  struct Memory {
    Buffer<Real> first, second;
  };
  double square_norm() const;
  void apply_sgd(const ParameterGroup& group, Memory& memory, double rate, double scale) const;
  void apply_adam(const ParameterGroup& group, Memory& memory, double rate, double scale) const;

  const parallel::Communicator& holders_;
  OptimiserOptions options_;
  std::vector<ParameterGroup> groups_;
  std::vector<Memory> memories_;
  Index updates_ = 0;
};

}  // namespace deeppcr::train
