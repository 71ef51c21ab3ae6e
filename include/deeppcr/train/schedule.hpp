#pragma once

#include <string>

#include "deeppcr/core/types.hpp"

namespace deeppcr::train {

/// How the learning rate goes on behind the warm-up.
///
///     constant  the peak
///     cosine    from the peak along half a cosine to `floor` times the peak at step `total`
///     step      times `decay` after each `decay_every` steps
enum class ScheduleKind { constant, cosine, step };

/// "constant" and so on, as the command line has it.
const char* name(ScheduleKind kind);
/// @throws Error that lists the known names
ScheduleKind schedule_from(const std::string& name);

struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  double peak = 1e-3;
  Index warm_up = 0;  ///< steps in which the rate rises linearly to the peak
  Index total = 0;    ///< cosine: steps of the whole run, the warm-up included
  double floor = 0;   ///< cosine: last rate relative to the peak
  double decay = 0.1;
  Index decay_every = 0;  ///< step: 0 for never

  /// The rate of update `step`, counted from 0. A function of the step alone, so a run that goes on
  /// needs no state of it.
  double rate(Index step) const;
};

}  // namespace deeppcr::train
