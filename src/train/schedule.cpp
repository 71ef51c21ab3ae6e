#include "deeppcr/train/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "deeppcr/core/error.hpp"

namespace deeppcr::train {

const char* name(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::constant:
      return "constant";
    case ScheduleKind::step:
      return "step";
    case ScheduleKind::cosine:
      break;
  }
  return "cosine";
}

ScheduleKind schedule_from(const std::string& name) {
  for (const auto kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::step}) {
    if (name == train::name(kind)) return kind;
  }
  throw input_error("unknown schedule '{}': known are constant, cosine, step", name);
}

double Schedule::rate(Index step) const {
  if (step < warm_up) return peak * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  const Index behind = step - warm_up;
  switch (kind) {
    case ScheduleKind::cosine: {
      const double length = static_cast<double>(std::max<Index>(total - warm_up, 1));
      const double part = std::min(1.0, static_cast<double>(behind) / length);
      return peak * (floor + (1 - floor) * (1 + std::cos(std::acos(-1.0) * part)) / 2);
    }
    case ScheduleKind::step:
      if (decay_every > 0) return peak * std::pow(decay, static_cast<double>(behind / decay_every));
      break;
    case ScheduleKind::constant:
      break;
  }
  return peak;
}

}  // namespace deeppcr::train
