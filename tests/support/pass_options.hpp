#pragma once

#include <string>

#include "deeppcr/train/chain_network.hpp"

namespace deeppcr::test {

/// Both passes of training, near rounding: forward step after step, by Newton's method with a
/// linear solver, or both by the schedule of a pipeline.
inline void set_passes(train::PassMethods& methods, const std::string& forward,
                       const std::string& backward) {
  methods.settings.tolerance.rtol = 1e-14;
  methods.backward = backward;
  if (forward == "sequential") return;
  for (const char* schedule : plan::pipeline_schedules().words) {
    if (forward != schedule) continue;
    methods.forward = methods.backward = "pipeline";
    methods.pipeline = train::TrainingPipeline{plan::pipeline_schedules().find(forward), 0, false};
    return;
  }
  methods.forward = "newton";
  methods.settings.own = OptionValues(nonlinear::find("newton").options);
  methods.settings.own.set("linear", forward);
}

}  // namespace deeppcr::test
