#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "deeppcr/core/options.hpp"
#include "deeppcr/core/types.hpp"

namespace deeppcr::train {

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
};

/// The only table that names them: constant, cosine, step.
const std::deque<ScheduleEntry>& schedules();
/// To be called before the command line is read. @throws Error for a name that is taken
void add_to_catalogue(ScheduleEntry entry);
/// @throws Error that lists the known ones
const ScheduleEntry& find_schedule(const std::string& name);

}  // namespace deeppcr::train
