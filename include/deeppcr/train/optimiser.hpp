#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deeppcr/core/buffer.hpp"
#include "deeppcr/core/options.hpp"
#include "deeppcr/parallel/communicator.hpp"
#include "deeppcr/train/trainable.hpp"

namespace deeppcr::train {

/// One update of an array of parameters.
struct Update {
  Index size = 0;
  Real* parameters = nullptr;
  const Real* gradient = nullptr;
  Real scale = 1;             ///< the gradient counts times this: clipping
  double rate = 0;            ///< learning rate
  bool decays = true;         ///< weight decay is for these
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

/// Which rule, and what of it is not as its entry has it.
struct OptimiserOptions {
  std::string rule = "adamw";
  OptionValues own = {};  ///< of the entry's options, those that are not at their defaults
  double clip_norm = 0;   ///< gradients longer than this are shortened to it; 0: never
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

  /// One update from the gradients that the groups point to; dual ones ascend. Returns the norm of
  /// all gradients together, before clipping; where that is infinite or NaN nothing has changed.
  /// Collective over the holders. Cost: 4 (sgd) to 12 (adam) flops a parameter; one reduction of a
  /// number.
  double update(double learning_rate);
  /// The same in parts, which are not collective: keeps a copy of the gradients, and returns the
  /// sum of their squares on this rank; later on the update from that copy, when the norm over all
  /// holders is known.
  double hold();
  void update_held(double learning_rate, double norm);
  /// The same at once, clipped by the norm on this rank alone. Returns its square. Not collective.
  double update_alone(double learning_rate);

  Index updates() const { return updates_; }
  void set_updates(Index updates) { updates_ = updates; }
  /// The state that a checkpoint has to hold besides updates(), such as "<group>/momentum".
  std::vector<StoredArray> state();

 private:
  double squares() const;
  /// From the gradients, or the copies of them.
  void apply(double learning_rate, double norm, bool held);

  const parallel::Communicator& holders_;
  double clip_norm_;
  std::unique_ptr<UpdateRule> rule_;
  std::vector<ParameterGroup> groups_;
  std::vector<std::vector<Buffer<Real>>> memories_;  ///< of each group, as the rule lists them
  std::vector<Buffer<Real>> held_;                   ///< gradients of each group
  Index updates_ = 0;
};

/// The learning rate of each update: it rises linearly to the peak in the warm-up, then goes on as
/// the entry of its name in schedules() says.
struct Schedule {
  std::string name = "cosine";
  OptionValues own = {};  ///< of the entry's options, those that are not at their defaults
  double peak = 1e-3;
  Index warm_up = 0;  ///< updates in which the rate rises to the peak
  Index total = 0;    ///< updates of the whole run, the warm-up included

  /// The rate of update `step`, counted from 0. A function of the step alone, so a run that goes on
  /// needs no state of it. @throws Error that lists the known schedules
  double rate(Index step) const;
};

/// How the rate goes on behind the warm-up.
struct ScheduleEntry {
  std::string name, help;
  std::vector<OptionSpec> options;
  /// The rate, as a factor on the peak, so many updates behind the warm-up, of `length` >= 1 that
  /// are planned.
  std::function<double(Index behind, Index length, const OptionValues&)> factor;
  bool is_planned = false;  ///< it depends on `length`: without an end there is none
};

/// The only table that names them: constant, cosine, step.
const std::deque<ScheduleEntry>& schedules();
/// To be called before the command line is read. @throws Error for a name that is taken
void add_to_catalogue(ScheduleEntry entry);
/// @throws Error that lists the known ones
const ScheduleEntry& find_schedule(const std::string& name);

}  // namespace deeppcr::train
