#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::train {

/// One update of an array of parameters.
struct Update {
  Index size = 0;
  Real* parameters = nullptr;
  const Real* gradient = nullptr;
  Real scale = 1;             ///< the gradient counts times this: clipping
  double rate = 0;            ///< learning rate
  Index number = 1;           ///< counted from 1
  std::vector<Real*> memory;  ///< [size] each, in the order of UpdateRule::memory(); zero at first
};

/// How parameters follow their gradient.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  /// An array that the rule keeps beside each array of parameters; checkpoints hold it.
  struct Memory {
    const char* name;
    const char* content;
  };
  virtual std::vector<Memory> memory() const = 0;
  virtual void apply(const Update& update) const = 0;
};

/// One line an optimiser: the only table that names them.
struct OptimiserEntry {
  std::string name, help;
  std::vector<OptionSpec> options;
  /// @throws Error for values without sense
  std::function<std::unique_ptr<UpdateRule>(const OptionValues&)> make;
};

const std::deque<OptimiserEntry>& optimisers();
/// To be called before the command line is read. @throws Error for a name that is taken
void add_to_catalogue(OptimiserEntry entry);
/// @throws Error that lists the known ones
const OptimiserEntry& find_optimiser(const std::string& name);

/// The rules that come with the library, with PyTorch's formulas (learning rate a, gradient g):
///
///     sgd     v <- momentum v + g;  p <- p - a v          (nesterov: p <- p - a (g + momentum v))
///     adam    m, v <- running means of g and g^2;  p <- p - a m^ / (sqrt(v^) + epsilon)
///     adamw   the same, but weight decay shrinks p itself: p <- (1 - a decay) p first
///
/// sgd and adam add decay p to g. Sources: Sutskever et al., ICML 2013; Kingma and Ba, arXiv
/// 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.
OptimiserEntry sgd_entry();
OptimiserEntry adam_entry();
OptimiserEntry adamw_entry();

}  // namespace deeppcr::train
